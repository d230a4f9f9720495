package gitlab

import (
	"context"
	"net/http"
)

// RouterAddress is where GitLab's job router is (section 2.3); "" when this GitLab
// has none for this runner.
func (c *Client) RouterAddress(ctx context.Context) (string, error) {
	a, err := c.do(ctx, call{
		method: http.MethodGet, path: "/runners/router/discovery",
		header: map[string]string{"Accept": "application/json", "RUNNER-TOKEN": c.cfg.Token()},
	})
	switch {
	case err != nil:
		return "", err
	case a.code == http.StatusNotImplemented, a.code == http.StatusNotFound:
		return "", nil
	case a.code != http.StatusOK:
		return "", a.unexpected()
	}
	var found struct {
		ServerURL string `json:"server_url"`
	}
	return found.ServerURL, a.asJSON(&found)
}

// JobRequest is the body of a request for a job, which the job router takes too.
func (c *Client) JobRequest(lastUpdate string) []byte {
	return c.runnerCall("/jobs/request", lastUpdate).body
}

// Received reads a job that came by the job router, as RequestJob does.
func (c *Client) Received(payload []byte) RequestResult { return received(payload) }

// UserAgent is what this client calls itself.
func (c *Client) UserAgent() string { return c.userAgent }
