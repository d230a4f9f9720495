package gitlab_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestDirectories(t *testing.T) {
	commit := strings.Repeat("1", 40)
	good := "0034shallow " + commit + "00000008NAK\nPACKrest"
	s := serve(t,
		reply{200, nil, good},
		reply{200, nil, "0049ERR upload-pack: not our ref 1111111111111111111111111111111111111111"},
		reply{200, nil, "<html>"}, reply{200, nil, "00"}, reply{200, nil, "0009done"}, reply{200, nil, "ffffNAK"},
		reply{401, nil, "HTTP Basic: Access denied for glpat-secret"}, reply{404, nil, ""})
	c := client(t, s.URL, nil)
	ask := func() (string, error) {
		b, err := c.Directories(t.Context(), "glpat-secret", "acme/my shop", commit)
		noSecret(t, err)
		return string(b), err
	}
	if got, err := ask(); got != "PACKrest" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ask(); err == nil || err.Error() != "git at GitLab: upload-pack: not our ref "+commit {
		t.Error(err)
	}
	for range 4 {
		if got, err := ask(); err == nil || !strings.Contains(err.Error(), "none of Git's protocol") {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := ask(); !errors.Is(err, gitlab.ErrRefused) || !strings.Contains(err.Error(), "read_repository") {
		t.Error(err)
	}
	if _, err := ask(); !errors.Is(err, gitlab.ErrNoFile) {
		t.Error(err)
	}
	first := s.seen()[0]
	want := "0059want " + commit + " filter no-progress agent=towline/1.2.3\n000ddeepen 1\n0015filter blob:none\n00000009done\n"
	if name, password, ok := basicAuth(first); first.URI != "/acme/my%20shop.git/git-upload-pack" || string(first.Body) != want || !ok || name != "towline" || password != "glpat-secret" {
		t.Errorf("%s %q %v", first.URI, first.Body, first.Header)
	}
}
