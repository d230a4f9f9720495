package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/services/runner/internal/egress"
)

// Limits of one call (runner-api sheet, sections 1 and 1.1).
const (
	httpAttempts = 5
	firstPause   = 100 * time.Millisecond
	maxPause     = time.Minute
	callTimeout  = time.Hour
	maxMessage   = 64 << 10 // bytes of an answer that says what is wrong
	maxRedirects = 10
)

// tokenHeader carries a job token. It must not reach another host.
const tokenHeader = "JOB-TOKEN"

// Log takes the lines of the stages.
type Log interface {
	Notice(text string) // a green line
	Raw(text string)
	Warn(text string)
	Error(text string)
}

// Config is what a Client needs.
type Config struct {
	URL       string // GitLab's, without /api/v4
	Proxy     string // http://user:password@host:port, or empty
	CA        string // PEM, beside the system's
	UserAgent string
	Job       int64
	Token     string   // of the job
	Temp      *os.Root // for archives on their way
	Log       Log
}

// Client speaks for one job. It is not safe for concurrent use.
type Client struct {
	Config
	base  *url.URL
	http  *http.Client
	pause func(context.Context, time.Duration) bool
}

// Error is a transfer that failed for good. Its text holds no credential.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

func failed(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// New returns a client; it connects to nothing. Close it after use.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(cfg.URL, "/") + "/api/v4")
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("GitLab's address is not known to this runner: tunnel and runner are of different versions; upgrade both")
	}
	t, err := egress.NewTransport(cfg.Proxy, cfg.CA)
	if err != nil {
		return nil, err
	}
	c := &Client{Config: cfg, base: base, pause: retry.Sleep}
	c.http = &http.Client{Transport: t, Timeout: callTimeout, CheckRedirect: follow}
	return c, nil
}

// Close frees the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// follow lets downloads go to object storage, without the job token. An upload
// is repeated by its caller instead.
func follow(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case first.Method != http.MethodGet:
		return http.ErrUseLastResponse
	case len(via) >= maxRedirects:
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	case first.URL.Scheme == "https" && req.URL.Scheme != "https":
		return errors.New("refused a redirect from https to " + req.URL.Scheme)
	case req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme:
		req.Header.Del(tokenHeader)
	}
	req.Header.Del("Referer")
	return nil
}

// retriable are the answers after which the same call is made again (section
// 1.1).
func retriable(code int) bool {
	const lastKnown = 511
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return code > lastKnown
}

// do makes one logical call: up to five requests. The last answer is returned
// whatever it says; its body is the caller's to close.
func (c *Client) do(ctx context.Context, build func() (*http.Request, error)) (*http.Response, error) {
	for n := 1; ; n++ {
		req, err := build()
		if err != nil {
			return nil, err
		}
		req.Header.Set("User-Agent", c.UserAgent)
		res, err := c.http.Do(req)
		if err != nil {
			return nil, errors.Unwrap(err) // without the address
		}
		if n == httpAttempts || !retriable(res.StatusCode) {
			return res, nil
		}
		wait := after(res.Header, n)
		drain(res)
		if !c.pause(ctx, wait) {
			return nil, context.Cause(ctx)
		}
	}
}

// after is how long to wait before the next request (section 1.1).
func after(h http.Header, n int) time.Duration {
	if at, err := http.ParseTime(h.Get("RateLimit-ResetTime")); err == nil {
		if d := time.Until(at); d > 0 {
			return min(d, retry.MaxAfter)
		}
	}
	if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil && s > 0 {
		return min(time.Duration(min(s, int(retry.MaxAfter/time.Second)))*time.Second, retry.MaxAfter)
	}
	d := min(firstPause<<(n-1), maxPause)
	return d/2 + rand.N(d/2) //nolint:gosec // G404: nobody gains by guessing it
}

func drain(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, maxMessage)
	_ = res.Body.Close()
}

// message reads what GitLab says of a refusal, in any of its forms (section 1).
func message(res *http.Response) string {
	text := res.Status
	b, err := io.ReadAll(io.LimitReader(res.Body, maxMessage))
	if err != nil {
		return text
	}
	var body struct {
		Message json.RawMessage `json:"message"`
		Error   string          `json:"error"`
	}
	if json.Unmarshal(b, &body) != nil {
		return text
	}
	var said string
	switch {
	case json.Unmarshal(body.Message, &said) == nil && said != "":
	case len(body.Message) > 0:
		said = string(body.Message)
	default:
		said = body.Error
	}
	if said == "" || said == text {
		return text
	}
	const most = 500
	return fmt.Sprintf("%s (%.*s)", text, most, said)
}
