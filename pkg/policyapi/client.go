package policyapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// What Decide can fail with, besides a Refused.
var (
	// ErrUnavailable: policy cannot be reached or cannot decide now. Asking
	// again later may help; nothing was decided.
	ErrUnavailable = errors.New("policy is not available")
	// ErrUnauthorized: policy does not accept our token. Asking again with the
	// same settings will not help.
	ErrUnauthorized = errors.New("policy refuses this caller")
)

// Refused is an answer to a request that policy could not read: tunnel and
// policy do not fit together.
type Refused struct {
	Status  int
	Problem Problem
}

// Error says what policy said.
func (r *Refused) Error() string {
	return fmt.Sprintf("policy refused the request with status %d: %s", r.Status, r.Problem.Message)
}

// requestTimeout bounds a request when the given HTTP client does not.
const requestTimeout = 30 * time.Second

// Client asks policy for decisions.
type Client struct {
	base  string
	token func() (string, error)
	http  *http.Client
}

// NewClient asks policy at baseURL. token returns the ServiceAccount token to
// present, with audience "towline-policy", each time anew because such tokens
// rotate; nil presents none. A nil client means a default one.
func NewClient(baseURL string, token func() (string, error), client *http.Client) *Client {
	if client == nil {
		client = &http.Client{Timeout: requestTimeout}
	}
	c := *client
	// A redirect would carry evidence, and the token, to another place.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: strings.TrimRight(baseURL, "/"), token: token, http: &c}
}

// Decide returns policy's decision about a job. The configuration may be nil
// when none is known. Its content is sent only if policy asks for it.
func (c *Client) Decide(ctx context.Context, e Evidence, conf *Configuration) (*Decision, error) {
	d, err := c.ask(ctx, PathDecide, conf, func(conf *Configuration) any { return DecideRequest{Evidence: e, Configuration: conf} })
	if err != nil {
		return nil, fmt.Errorf("decide job %d: %w", e.Job.ID, err)
	}
	return d, nil
}

// ask sends the configuration's content only when policy does not have it.
func (c *Client) ask(ctx context.Context, path string, conf *Configuration, body func(*Configuration) any) (*Decision, error) {
	var short *Configuration
	if conf != nil {
		short = &Configuration{Source: conf.Source, Revision: conf.Revision, Faults: conf.Faults}
	}
	d, err := c.post(ctx, path, body(short))
	if conf != nil && errors.Is(err, errContentNeeded) {
		d, err = c.post(ctx, path, body(conf))
	}
	if errors.Is(err, errContentNeeded) {
		return nil, fmt.Errorf("%w: it asked for the configuration again", ErrUnavailable)
	}
	return d, err
}

var errContentNeeded = errors.New("policy needs the configuration's content")

func (c *Client) post(ctx context.Context, path string, body any) (*Decision, error) {
	b, err := json.Marshal(body)
	switch {
	case err != nil:
		return nil, err
	case len(b) > MaxBody:
		return nil, &Refused{Status: http.StatusRequestEntityTooLarge, Problem: Problem{CodeTooLarge, ErrTooLarge.Error()}}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != nil {
		token, err := c.token()
		if err != nil {
			return nil, fmt.Errorf("%w: token: %w", ErrUnauthorized, err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	switch {
	case err != nil:
		return nil, unavailable(ctx, err)
	case len(answer) > MaxBody:
		return nil, fmt.Errorf("%w: its answer is over the limit of %d bytes", ErrUnavailable, MaxBody)
	}
	return read(resp.StatusCode, answer)
}

// unavailable keeps the caller's own cancellation visible.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// read turns an answer into a decision or a typed error. Fields of a newer
// policy are ignored.
func read(status int, answer []byte) (*Decision, error) {
	if status == http.StatusOK {
		var d Decision
		if err := json.Unmarshal(answer, &d); err != nil {
			return nil, fmt.Errorf("%w: its answer is not a decision", ErrUnavailable)
		}
		if d.Allow && d.Grant == "" {
			return nil, fmt.Errorf("%w: it allowed the job without a grant", ErrUnavailable)
		}
		return &d, nil
	}
	p := Problem{Message: http.StatusText(status)}
	_ = json.Unmarshal(answer, &p) // a proxy's answer has no such body
	switch {
	case status == http.StatusConflict && p.Code == CodeConfigurationNeeded:
		return nil, errContentNeeded
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return nil, fmt.Errorf("%w: %s", ErrUnauthorized, p.Message)
	case status >= 500 || status == http.StatusTooManyRequests:
		return nil, fmt.Errorf("%w: status %d: %s", ErrUnavailable, status, p.Message)
	default:
		return nil, &Refused{Status: status, Problem: p}
	}
}
