package wget

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Permissions of what is downloaded, before the job's umask.
const (
	newFile   = 0o666
	newFolder = 0o777
)

// maxReason is how much is read of a refusal to find its reason.
const maxReason = 1 << 10

// transfer is one address.
type transfer struct {
	*options
	inv    tool.Invocation
	client *http.Client
	out    *output
}

// shown is an address without its password.
func (t *transfer) shown(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Redacted()
	}
	return "the address"
}

// run tries until it works or cannot work.
func (t *transfer) run(ctx context.Context, address string) *failure {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(strings.ReplaceAll(address, " ", "%20"))
	switch {
	case err != nil || u.Host == "":
		return &failure{code: exitOther, text: "this is no URL"}
	case u.Scheme != "http" && u.Scheme != "https":
		return &failure{code: exitOther, text: "unsupported scheme '" + u.Scheme + "': a job speaks HTTP and HTTPS"}
	}
	for try := 1; ; try++ {
		f := t.attempt(ctx, u)
		if f == nil || !f.again || try >= t.tries || ctx.Err() != nil {
			return f
		}
		pause := min(time.Duration(try)*time.Second, t.pause)
		if !t.set["q"] {
			fmt.Fprintf(t.inv.Stderr, "wget: %s: %s; retrying in %s\n", t.shown(address), f.text, pause)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return f
		case <-timer.C:
		}
	}
}

func (t *transfer) attempt(ctx context.Context, u *url.URL) *failure {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, f := t.request(ctx, u)
	if f != nil {
		return f
	}
	if closer := req.Body; closer != nil {
		defer closer.Close()
	}
	name := t.out.name(u)
	if t.set["no-clobber"] && name != "-" && exists(t.inv.Path(name)) {
		return nil
	}
	res, err := t.client.Do(req)
	if err != nil {
		f := classified(err)
		f.again = f.again && (!errors.Is(err, syscall.ECONNREFUSED) || t.set["retry-connrefused"])
		return f
	}
	defer res.Body.Close()
	if t.set["S"] && !t.set["q"] {
		fmt.Fprintf(t.inv.Stderr, "  %s %s\n", res.Proto, res.Status)
		_ = res.Header.Write(&indented{t.inv.Stderr})
	}
	if res.StatusCode >= http.StatusBadRequest {
		return t.refused(res, name)
	}
	if t.set["spider"] {
		return nil
	}
	// As with wget, the time-out is for a pause of the server's, not for the
	// whole transfer.
	idle := time.AfterFunc(t.timeout, cancel)
	defer idle.Stop()
	return t.out.save(name, &active{res.Body, idle, t.timeout}, t.set["q"])
}

// active postpones the end with everything that arrives.
type active struct {
	io.Reader
	idle    *time.Timer
	timeout time.Duration
}

// Read implements io.Reader.
func (a *active) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	a.idle.Reset(a.timeout)
	return n, err
}

// refused is an answer of 400 and more.
func (t *transfer) refused(res *http.Response, name string) *failure {
	f := &failure{code: exitServer, text: "server returned error: HTTP/1.1 " + res.Status}
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		f.code = exitAuth
	case slices.Contains(t.retryOn, strconv.Itoa(res.StatusCode)):
		f.again = true
	}
	if t.set["content-on-error"] {
		if saved := t.out.save(name, res.Body, t.set["q"]); saved != nil {
			return saved
		}
		return f
	}
	// The way out of a job says which setting is in the way.
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxReason))
	if why, _, _ := strings.Cut(string(text), "\n"); strings.HasPrefix(why, "towline: ") {
		f.text = why
	}
	return f
}

func (t *transfer) request(ctx context.Context, u *url.URL) (*http.Request, *failure) {
	method := http.MethodGet
	var body io.Reader
	switch {
	case t.bodyFile != "":
		f, err := os.Open(t.inv.Path(t.bodyFile))
		if err != nil {
			return nil, &failure{code: exitFile, text: t.bodyFile + ": " + tool.Reason(err)}
		}
		method, body = http.MethodPost, f
	case t.hasBody:
		method, body = http.MethodPost, strings.NewReader(t.body)
	case t.set["spider"]:
		method = http.MethodHead
	}
	if t.method != "" {
		method = strings.ToUpper(t.method)
	}
	plain := *u
	plain.User = nil
	req, err := http.NewRequestWithContext(ctx, method, plain.String(), body)
	if err != nil {
		return nil, &failure{code: exitOther, text: "this is no request"}
	}
	if f, ok := body.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			req.ContentLength = info.Size()
		}
	}
	t.setHeaders(req, u)
	return req, nil
}

func (t *transfer) setHeaders(req *http.Request, u *url.URL) {
	req.Header.Set("User-Agent", t.agent)
	req.Header.Set("Accept", "*/*")
	if t.hasBody {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	user, password := t.user, t.password
	if user == "" && u.User != nil {
		user = u.User.Username()
		password, _ = u.User.Password()
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	for _, line := range t.headers {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
}

// indented puts two spaces in front of each line, as wget shows headers.
type indented struct{ w io.Writer }

// Write implements io.Writer.
func (i *indented) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		fmt.Fprintf(i.w, "  %s\n", strings.TrimRight(line, "\r\n"))
	}
	return len(p), nil
}

// output is where answers go. With -O all of them go into one file.
type output struct {
	*options
	inv tool.Invocation
	one *os.File
}

func (o *output) name(u *url.URL) string {
	if o.target != "" {
		return o.target
	}
	name := path.Base(u.Path)
	if name == "." || name == "/" || strings.HasSuffix(u.Path, "/") {
		name = "index.html"
	}
	if u.RawQuery != "" {
		name += "?" + u.RawQuery
	}
	at := filepath.Join(o.folder, strings.ReplaceAll(name, "/", "%2F"))
	// As with wget, a file that is there stays.
	for n := 1; exists(o.inv.Path(at)) && !o.set["no-clobber"] && !o.set["c"] && !o.set["N"]; n++ {
		at = filepath.Join(o.folder, fmt.Sprintf("%s.%d", name, n))
	}
	return at
}

func exists(file string) bool {
	_, err := os.Lstat(file) //nolint:gosec // G703: the script says where its files go
	return err == nil
}

func (o *output) save(name string, from io.Reader, quiet bool) *failure {
	to := o.inv.Stdout
	if name != "-" {
		f, err := o.open(name)
		if err != nil {
			return &failure{code: exitFile, text: name + ": " + tool.Reason(err)}
		}
		if o.one == nil {
			defer f.Close()
		}
		to = f
	}
	w := &sink{w: to}
	n, err := io.Copy(w, from)
	switch {
	case w.err != nil:
		return &failure{code: exitFile, text: "cannot write: " + tool.Reason(w.err)}
	case err != nil:
		f := classified(err)
		f.again = f.again && n == 0 // what has been written stays
		return f
	}
	if !quiet && name != "-" {
		fmt.Fprintf(o.inv.Stderr, "'%s' saved [%d]\n", name, n)
	}
	return nil
}

// sink tells errors of writing from those of reading.
type sink struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}

func (o *output) open(name string) (*os.File, error) {
	if o.one != nil {
		return o.one, nil
	}
	at := o.inv.Path(name)
	if o.folder != "" {
		if err := os.MkdirAll(filepath.Dir(at), newFolder); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(at, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, newFile)
	if o.target != "" {
		o.one = f
	}
	return f, err
}

func (o *output) close() {
	if o.one != nil {
		_ = o.one.Close()
	}
}
