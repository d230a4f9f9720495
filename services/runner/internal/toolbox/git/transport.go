package git

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/towline/towline/services/runner/internal/egress"
)

// maxAnswer bounds one answer of a server, the pack included, in bytes.
const maxAnswer = 2 << 30

// tokenUser is the name that goes with a job token.
const tokenUser = "gitlab-ci-token"

// install leaves go-git HTTP alone: SSH and local repositories would run
// programs. Its table of protocols is the process's, so the entry is one for
// every Git and finds the way out of each request in the request's context.
var install = sync.OnceFunc(func() {
	web := githttp.NewClient(&http.Client{Transport: ways{}})
	client.InstallProtocol("http", web)
	client.InstallProtocol("https", web)
	for _, name := range []string{"ssh", "git", "file"} {
		client.InstallProtocol(name, nil)
	}
})

// wayOut is the key of a context's transport.
type wayOut struct{}

// ways sends each request through the transport of its context, and bounds the
// answer.
type ways struct{}

func (ways) RoundTrip(req *http.Request) (*http.Response, error) {
	t, ok := req.Context().Value(wayOut{}).(http.RoundTripper)
	if !ok {
		return nil, errors.New("the request has no way out")
	}
	res, err := t.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	res.Body = egress.Bound(res.Body, maxAnswer, errTooLarge)
	return res, nil
}

var errTooLarge = fmt.Errorf("the repository is too large: more than %d bytes in one answer. Ask for less, for example with --depth 1", int64(maxAnswer))

// connect prepares a context for what goes over the network.
func (c *command) connect(ctx context.Context) (context.Context, error) {
	install()
	c.git.dial.Do(func() { c.git.transport, c.git.dialErr = egress.NewTransport(c.git.proxy, c.git.ca) })
	if c.git.dialErr != nil {
		return nil, c.git.dialErr
	}
	return context.WithValue(ctx, wayOut{}, http.RoundTripper(c.git.transport)), nil
}

// address refuses what is not HTTP.
func address(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fatal("only http:// and https:// repositories can be used in a job")
	}
	return u, nil
}

// redact removes the passwords of addresses from a message.
func (c *command) redact(text string) string {
	for _, field := range append(slices.Clone(c.inv.Args), c.urls()...) {
		if u, err := url.Parse(field); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok && password != "" {
				text = strings.NewReplacer(password, "[MASKED]", url.QueryEscape(password), "[MASKED]", url.PathEscape(password), "[MASKED]").Replace(text)
			}
		}
	}
	return text
}

func (c *command) urls() []string {
	if c.repo == nil {
		return nil
	}
	var out []string
	if remotes, err := c.repo.Remotes(); err == nil {
		for _, r := range remotes {
			out = append(out, r.Config().URLs...)
		}
	}
	return out
}

// credentials are those of the address, else the job's own for its GitLab.
func (c *command) credentials(remote, given string) (string, transport.AuthMethod, error) {
	if given == "" {
		r, err := c.repo.Remote(remote)
		if err != nil {
			return "", nil, fatal("'%s' does not appear to be a git repository", remote)
		}
		given = r.Config().URLs[0]
	}
	u, err := address(given)
	if err != nil {
		return "", nil, err
	}
	auth := c.auth(u)
	u.User = nil
	return u.String(), auth, nil
}

// auth must be an interface without a value where there is nothing. The job's
// token goes only where the job's own repository came from: same scheme, host
// and port. go-git drops it when a redirect leads elsewhere.
func (c *command) auth(u *url.URL) transport.AuthMethod {
	if u.User != nil {
		password, _ := u.User.Password()
		return &githttp.BasicAuth{Username: u.User.Username(), Password: password}
	}
	token, _ := c.inv.Getenv("CI_JOB_TOKEN")
	if token == "" || c.git.origin == "" || origin(u) != c.git.origin {
		return nil
	}
	return &githttp.BasicAuth{Username: tokenUser, Password: token}
}

// origin is scheme, host and port of an address.
func origin(u *url.URL) string {
	port := u.Port()
	switch {
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	return strings.ToLower(u.Scheme + "://" + u.Hostname() + ":" + port)
}
