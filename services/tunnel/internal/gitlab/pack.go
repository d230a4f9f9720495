package gitlab

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxPack is the largest pack of a commit's directories in bytes.
const maxPack = 32 << 20

// Directories is a commit and the directories of its files, without the files
// and without its parents, as a pack of Git's. It takes Git's own protocol,
// since GitLab's API gives no object as it is; the token needs the scope
// read_repository, or api.
func (c *Client) Directories(ctx context.Context, accessToken, project, commit string) ([]byte, error) {
	basic := base64.StdEncoding.EncodeToString([]byte("towline:" + accessToken))
	a, err := c.do(ctx, call{
		method: http.MethodPost, outside: true, path: "/" + gitPath(project) + ".git/git-upload-pack", body: wanted(commit, c.cfg.Version), limit: maxPack, large: true, once: true,
		header: map[string]string{
			"Authorization": "Basic " + basic, "Content-Type": "application/x-git-upload-pack-request", "Accept": "application/x-git-upload-pack-result",
		},
	})
	if err != nil {
		return nil, err
	}
	switch a.code {
	case http.StatusOK:
		return packOf(a.body)
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%w (%s) for Git; to verify signatures it needs the scope read_repository, or api", ErrRefused, a.message())
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w (%s)", ErrNoFile, a.message())
	}
	return nil, a.unexpected()
}

func gitPath(project string) string {
	parts := strings.Split(project, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// wanted is the body of a fetch: one commit deep, without the files.
func wanted(commit, version string) []byte {
	can := " filter no-progress agent=towline/" + version
	if len(commit) > len("da39a3ee5e6b4b0d3255bfef95601890afd80709") {
		can += " object-format=sha256"
	}
	return []byte(line("want "+commit+can+"\n") + line("deepen 1\n") + line("filter blob:none\n") + "0000" + line("done\n"))
}

// line is one pkt-line.
func line(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

var errNotGit = errors.New("GitLab's answer is none of Git's protocol; is a proxy in between?")

// packOf takes the pack out of an answer: lines first, of which the last is NAK.
func packOf(body []byte) ([]byte, error) {
	const head = 4
	for {
		if len(body) < head {
			return nil, errNotGit
		}
		n, err := strconv.ParseUint(string(body[:head]), 16, 16)
		switch {
		case err != nil:
			return nil, errNotGit
		case n == 0:
			body = body[head:]
			continue
		case n < head || int(n) > len(body):
			return nil, errNotGit
		}
		text := string(bytes.TrimSpace(body[head:n]))
		body = body[n:]
		if text == "NAK" {
			return body, nil
		}
		if why, failed := strings.CutPrefix(text, "ERR "); failed {
			const longest = 200
			return nil, fmt.Errorf("git at GitLab: %s", strings.ToValidUTF8(why[:min(len(why), longest)], ""))
		}
	}
}
