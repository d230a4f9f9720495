package gitlab

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/retry"
)

// Limits of this client.
const (
	maxAnswer = 1 << 20 // every answer but a job and a file
	// maxIdentified is how much of a job that is too large is looked through for
	// its id and token, in bytes.
	maxIdentified  = 256 << 20
	requestTimeout = 60 * time.Second
	// attempts per call and the back-off between them (section 1.1).
	attempts    = 5
	backoffMin  = 100 * time.Millisecond
	backoffMax  = 10 * time.Second
	maxAskedFor = 2 * time.Minute // longest Retry-After obeyed within one call
)

// Config is what a Client needs.
type Config struct {
	URL      string        // GitLab's address, for example https://gitlab.example.com
	Token    func() string // the runner authentication token, read anew for each call
	Version  string        // of Towline
	Name     string        // shown in GitLab's runner list
	HTTP     *http.Client  // transport with proxy and CA; nil is http.DefaultClient. Redirects are ours
	LongPoll time.Duration // longest time a job request may stay open
	Cache    bool          // the runners have a cache
}

// Client speaks to one GitLab as one runner. It is safe for concurrent use.
type Client struct {
	cfg      Config
	base     string
	systemID string
	// userAgent is what every call says of itself.
	userAgent string
	http      *http.Client
	patient   *http.Client // for large answers
}

// New checks the address and returns a Client. It dials nothing.
func New(cfg Config) (*Client, error) {
	base, err := Base(cfg.URL)
	if err != nil {
		return nil, err
	}
	h := http.Client{}
	if cfg.HTTP != nil {
		h = *cfg.HTTP
	}
	h.CheckRedirect = checkRedirect
	return &Client{
		cfg: cfg, base: base, systemID: systemID(cfg.Token()), http: &h, patient: patient(h),
		userAgent: fmt.Sprintf("towline %s (%s; %s/%s)", cfg.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH),
	}, nil
}

// Base is an address of GitLab without trailing slashes and the /ci of old
// runner configurations, or an error that says what is wrong with it.
func Base(address string) (string, error) {
	base := strings.TrimRight(strings.TrimSuffix(strings.TrimRight(address, "/"), "/ci"), "/")
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("--gitlab-url is not an address of GitLab; use https://gitlab.example.com without user or password")
	}
	return base, nil
}

// URL is GitLab's address without a trailing slash.
func (c *Client) URL() string { return c.base }

// Credential names the runner token in use without revealing it.
func (c *Client) Credential() string {
	sum := sha256.Sum256([]byte(c.cfg.Token()))
	return hex.EncodeToString(sum[:8])
}

// SystemID names this runner manager towards GitLab.
func (c *Client) SystemID() string { return c.systemID }

// systemID is stable for a token: every replica and every restart is the same
// runner manager, and no shared storage is needed (section 2.2).
func systemID(token string) string {
	m := hmac.New(sha256.New, []byte(token))
	m.Write([]byte("towline system id"))
	return "r_" + hex.EncodeToString(m.Sum(nil))[:12]
}

// call is one request to GitLab.
type call struct {
	method, path string // path is below /api/v4, unless outside says otherwise
	outside      bool
	header       map[string]string
	body         []byte
	timeout      time.Duration
	once         bool  // no retry layer: the caller's own loop does it
	limit        int64 // bytes of the answer that are read; 0 is maxAnswer
	cut          bool  // a longer answer is cut at limit instead of refused
	large        bool  // the answer is an archive, or the like
}

// secrets are the headers of a call whose values no text may repeat.
var secrets = []string{"RUNNER-TOKEN", "JOB-TOKEN", "Job-Token", "PRIVATE-TOKEN", "Authorization"}

// redact takes the call's token out of what came back.
func (q *call) redact(text string) string {
	for _, name := range secrets {
		if token := q.header[name]; token != "" {
			text = strings.ReplaceAll(text, token, "[redacted]")
		}
	}
	return text
}

// answer is a response whose body has been read.
type answer struct {
	code   int
	header http.Header
	body   []byte
	call   *call
	// identified is the job of an answer that was too large, if it could be told.
	identified *jobspec.Job
}

// do sends a call through the retry layer of section 1.1. An error means that
// no answer arrived.
func (c *Client) do(ctx context.Context, q call) (*answer, error) {
	var (
		a   *answer
		err error
	)
	policy := retry.Policy{Min: backoffMin, Max: backoffMax, Attempts: attempts}
	if q.once {
		policy.Attempts = 1
	}
	policy.Loop(ctx, func(ctx context.Context) retry.Result {
		a, err = c.send(ctx, q)
		if err != nil || !retriable(a.code) {
			return retry.Result{Outcome: retry.Done}
		}
		return retry.Result{Outcome: retry.Failed, After: min(retryAfter(a.header), maxAskedFor)}
	})
	if a == nil && err == nil {
		err = ctx.Err()
	}
	return a, err
}

func retriable(code int) bool {
	switch code {
	case 408, 429, 500, 502, 503, 504:
		return true
	}
	return code >= 512
}

// retryAfter reads what the server asked for: RateLimit-ResetTime (a date) or
// Retry-After (whole seconds).
func retryAfter(h http.Header) time.Duration {
	if t, err := http.ParseTime(h.Get("RateLimit-ResetTime")); err == nil {
		if d := time.Until(t); d > 0 {
			return d
		}
	}
	return seconds(h.Get("Retry-After"))
}

// seconds reads a positive whole number of seconds; anything else is 0.
func seconds(text string) time.Duration {
	s, err := strconv.ParseInt(text, 10, 32)
	if err != nil || s <= 0 {
		return 0
	}
	return time.Duration(s) * time.Second
}

func (c *Client) send(ctx context.Context, q call) (*answer, error) {
	ctx, cancel := q.bound(ctx)
	defer cancel()
	address := c.base + "/api/v4" + q.path
	if q.outside {
		address = c.base + q.path
	}
	req, err := http.NewRequestWithContext(ctx, q.method, address, bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("X-Request-Id", RequestID())
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	resp, err := c.clientOf(&q).Do(req)
	if err != nil {
		return nil, q.plain(ended(ctx, err))
	}
	defer resp.Body.Close()
	limit := q.limit
	if limit == 0 {
		limit = maxAnswer
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil && (!q.cut || len(body) == 0) {
		return nil, q.plain(ended(ctx, err))
	}
	if int64(len(body)) > limit && !q.cut {
		return nil, fmt.Errorf("the answer of GitLab is over the limit of %d bytes", limit)
	}
	a := &answer{code: resp.StatusCode, header: resp.Header, body: body, call: &q}
	if int64(len(body)) > limit {
		// What is too large to be used still has an owner who waits for a word.
		rest := io.LimitReader(resp.Body, maxIdentified)
		a.identified = jobspec.Identify(io.MultiReader(bytes.NewReader(body), rest))
	}
	return a, nil
}

// maxRedirects is how often one call may be sent on.
const maxRedirects = 5

// checkRedirect keeps a call on the address that was configured: its headers and
// its body carry tokens, and its answer is believed. Only the way from http to
// https of the same host is open. Redirects that would turn a call into a GET
// are faults too.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	from, to := first.URL, next.URL
	upgrade := from.Scheme == "http" && to.Scheme == "https" && from.Hostname() == to.Hostname()
	same := from.Scheme == to.Scheme && from.Host == to.Host
	switch {
	case !same && !upgrade:
		return fmt.Errorf("it redirects to another address, %s://%s; if GitLab is there, set --gitlab-url to that", to.Scheme, to.Host)
	case next.Method != first.Method:
		return fmt.Errorf("it redirects to %s://%s in a way that loses the request; if GitLab is there, set --gitlab-url to that", to.Scheme, to.Host)
	case len(via) > maxRedirects:
		return errors.New("it redirects in a circle")
	}
	return nil
}

// plain keeps the reason of a transport error and drops the address, which
// stands in the line anyway and could carry a secret after a redirect.
func (q *call) plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if text := err.Error(); q.redact(text) != text {
		return errors.New(q.redact(text))
	}
	return err
}

// answerError is an answer that was none to the question.
type answerError struct {
	text    string
	after   time.Duration
	passing bool // another time the answer may be another
}

// Error implements error.
func (e *answerError) Error() string { return e.text }

func (a *answer) unexpected() error {
	return &answerError{"GitLab answers " + a.message(), retryAfter(a.header), retriable(a.code)}
}

// Passing says whether what a call has failed with may pass: there was no answer,
// or it was one of a GitLab that is busy or at fault. What is refused stays so
// until somebody changes something.
func Passing(err error) bool {
	if err == nil || errors.Is(err, ErrRefused) || errors.Is(err, ErrNoFile) {
		return false
	}
	var e *answerError
	return !errors.As(err, &e) || e.passing
}

// After is how long GitLab asked, with the answer that led to err, to be left
// alone; 0 when it did not.
func After(err error) time.Duration {
	var e *answerError
	if errors.As(err, &e) {
		return e.after
	}
	return 0
}

// RequestID names one request, for the logs of both sides.
func RequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// isJSON says whether an answer calls itself JSON; a 2xx with another type is a
// protocol error (section 1).
func (a *answer) isJSON() bool {
	t, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	return err == nil && t == "application/json"
}

func errNotJSON(code int) error {
	return fmt.Errorf("GitLab answered %d without JSON; is a proxy in between?", code)
}

func (a *answer) asJSON(v any) error {
	if !a.isJSON() {
		return errNotJSON(a.code)
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("GitLab answered %d with JSON of another shape", a.code)
	}
	return nil
}

// message is the text of an error answer, shortened, for people. Some servers
// repeat what they were sent, so tokens are taken out.
func (a *answer) message() string {
	var m struct {
		Message any `json:"message"`
	}
	const longest = 200
	text := ""
	if json.Unmarshal(a.body, &m) == nil && m.Message != nil {
		text = a.call.redact(fmt.Sprint(m.Message))
	}
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "")
	}
	if text == "" {
		return strconv.Itoa(a.code) + " " + http.StatusText(a.code)
	}
	return text
}

func jsonBody(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("gitlab: request body: " + err.Error()) // our own types always marshal
	}
	return b
}
