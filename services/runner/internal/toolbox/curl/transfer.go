package curl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// transfer is one URL of a command.
type transfer struct {
	*options
	inv    tool.Invocation
	client *http.Client
	target string // file of the output, "" for standard output
	body   body

	url   *url.URL
	facts facts
}

// facts are what --write-out can show.
type facts struct {
	code, redirects  int
	url              string
	redirect, kind   string
	method           string
	downloaded       int64
	total, firstByte time.Duration
	file, proto      string
	exit             int
	problem          string
	header           http.Header
}

// run carries out the transfer with its retries.
func (t *transfer) run(ctx context.Context) error {
	start := time.Now()
	delay := time.Second
	for attempt := 0; ; attempt++ {
		err := t.attempt(ctx)
		t.facts.total = time.Since(start)
		if attempt >= t.retries || ctx.Err() != nil || !t.worthRetrying(err) {
			return err
		}
		wait := delay
		if t.retryDelay > 0 {
			wait = seconds(t.retryDelay)
		} else if after, e := time.ParseDuration(t.facts.header.Get("Retry-After") + "s"); e == nil {
			wait = after
		}
		if t.retryMax > 0 && time.Since(start)+wait > seconds(t.retryMax) {
			return err
		}
		if !t.silent {
			fmt.Fprintf(t.inv.Stderr, "Warning: Problem: %s. Will retry in %v seconds. %d retries left.\n", t.problem(err), wait.Seconds(), t.retries-attempt)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		delay = min(2*delay, 10*time.Minute)
	}
}

func (t *transfer) problem(err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("HTTP error %d", t.facts.code)
}

// worthRetrying follows curl: time-outs, and the answers that say "later".
func (t *transfer) worthRetrying(err error) bool {
	var f failure
	_ = errors.As(err, &f)
	switch {
	case f.code == exitTimeout || f.code == exitHostName:
		return true
	case f.code == exitConnect:
		return t.retryRefused || t.retryAll
	case f.code != 0 && f.code != exitHTTP:
		return t.retryAll
	}
	switch t.facts.code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return t.retryAll && f.code != 0
}

func (t *transfer) attempt(ctx context.Context) error {
	t.facts = facts{url: t.url.String(), header: http.Header{}}
	if t.total > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, seconds(t.total))
		defer cancel()
	}
	start := time.Now()
	req, closeBody, err := t.newRequest(ctx)
	if err != nil {
		return err
	}
	defer closeBody()
	res, err := t.client.Do(req)
	if err != nil {
		return classified(err, t.url.Hostname())
	}
	defer res.Body.Close()
	t.facts.firstByte = time.Since(start)
	t.note(res)
	if (t.fail || t.failWithBody) && res.StatusCode >= http.StatusBadRequest {
		err = failure{exitHTTP, fmt.Sprintf("The requested URL returned error: %d", res.StatusCode)}
		if !t.failWithBody {
			return err
		}
	}
	return errors.Join(t.receive(res), err)
}

func (t *transfer) note(res *http.Response) {
	t.facts.code, t.facts.header = res.StatusCode, res.Header
	t.facts.url, t.facts.method = res.Request.URL.String(), res.Request.Method
	t.facts.kind, t.facts.proto = res.Header.Get("Content-Type"), res.Proto
	if at, err := res.Location(); err == nil {
		t.facts.redirect = at.String()
	}
	for r := res.Request.Response; r != nil; r = r.Request.Response {
		t.facts.redirects++
	}
}

func (t *transfer) newRequest(ctx context.Context) (*http.Request, func(), error) {
	done := func() {}
	var in io.Reader
	var size int64
	if t.body.present && !t.get {
		in, size = bytes.NewReader(t.body.bytes), int64(len(t.body.bytes))
	}
	if t.body.file == "-" {
		in, size = t.inv.Stdin, -1
	} else if t.body.file != "" {
		f, err := os.Open(t.inv.Path(t.body.file))
		if err != nil {
			return nil, done, failure{exitRead, fmt.Sprintf("Can't open '%s'!", t.body.file)}
		}
		done = func() { _ = f.Close() }
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		in = f
	}
	req, err := http.NewRequestWithContext(ctx, t.method(), t.url.String(), in)
	if err != nil {
		return nil, done, failure{exitURL, "URL using bad/illegal format or missing URL"}
	}
	if in != nil {
		req.ContentLength = size
	}
	t.setHeaders(req)
	return req, done, nil
}

func (t *transfer) setHeaders(req *http.Request) {
	h := req.Header
	h.Set("Accept", "*/*")
	h.Set("User-Agent", t.agent)
	if t.body.contentType != "" && !t.get {
		h.Set("Content-Type", t.body.contentType)
	}
	if t.referer != "" {
		h.Set("Referer", t.referer)
	}
	if t.bearer != "" {
		h.Set("Authorization", "Bearer "+t.bearer)
	}
	if t.user != "" {
		name, password, _ := strings.Cut(t.user, ":")
		req.SetBasicAuth(name, password)
	}
	if strings.Contains(t.cookies, "=") {
		h.Set("Cookie", t.cookies)
	}
	replaced := map[string]bool{}
	for _, line := range t.headers {
		if name, empty := strings.CutSuffix(line, ";"); empty && !strings.Contains(line, ":") {
			h[http.CanonicalHeaderKey(name)] = []string{""}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case name == "Host":
			req.Host = value
		case value == "" && name == "User-Agent":
			h[name] = nil
		case value == "":
			h.Del(name)
		case replaced[name]:
			h.Add(name, value)
		default:
			h.Set(name, value)
			replaced[name] = true
		}
	}
}

// receive writes the answer.
func (t *transfer) receive(res *http.Response) error {
	head := headText(res)
	if t.dumpHeader != "" {
		if err := t.dump(head); err != nil {
			return err
		}
	}
	out, closeOut, err := t.open()
	if err != nil {
		return err
	}
	if t.include || t.head {
		if _, err := io.WriteString(out, head); err != nil {
			return errors.Join(failure{exitWrite, "Failure writing output to destination"}, closeOut())
		}
	}
	counted := &counter{w: out}
	_, err = io.Copy(counted, res.Body)
	t.facts.downloaded = counted.n
	switch {
	case counted.failed:
		err = failure{exitWrite, "Failure writing output to destination"}
	case err != nil:
		err = classified(err, t.url.Hostname())
	}
	return errors.Join(err, closeOut())
}

// counter tells errors of writing from those of reading.
type counter struct {
	w      io.Writer
	n      int64
	failed bool
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.failed = err != nil
	return n, err
}

func headText(res *http.Response) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\r\n", res.Proto, strings.TrimSpace(res.Status))
	_ = res.Header.Write(&b)
	if res.ContentLength >= 0 && res.Header.Get("Content-Length") == "" && !res.Uncompressed && res.StatusCode != http.StatusNoContent {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", res.ContentLength)
	}
	b.WriteString("\r\n")
	return b.String()
}

func (t *transfer) dump(head string) error {
	if t.dumpHeader == "-" {
		_, err := io.WriteString(t.inv.Stdout, head)
		return err
	}
	if err := os.WriteFile(t.inv.Path(t.dumpHeader), []byte(head), filePermission); err != nil {
		return failure{exitWrite, fmt.Sprintf("Failed to open %s", t.dumpHeader)}
	}
	return nil
}

// Permissions of what is downloaded, before the job's umask.
const (
	filePermission   = 0o644
	folderPermission = 0o755
)

func (t *transfer) open() (io.Writer, func() error, error) {
	if t.target == "" || t.target == "-" {
		return t.inv.Stdout, func() error { return nil }, nil
	}
	at := t.inv.Path(filepath.Join(t.outputDir, t.target))
	if filepath.IsAbs(t.target) {
		at = t.target
	}
	if t.createDirs {
		if err := os.MkdirAll(filepath.Dir(at), folderPermission); err != nil {
			return nil, nil, failure{exitWrite, fmt.Sprintf("Failed to create directories for %s", t.target)}
		}
	}
	f, err := os.OpenFile(at, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, filePermission)
	if err != nil {
		return nil, nil, failure{exitWrite, fmt.Sprintf("Failed to open the file %s: %s", t.target, tool.Reason(err))}
	}
	t.facts.file = t.target
	return f, f.Close, nil
}

// remoteFile is the last part of an address, for -O.
func remoteFile(u *url.URL) (string, error) {
	name := path.Base(u.Path)
	if name == "." || name == "/" || strings.HasSuffix(u.Path, "/") {
		return "", failure{exitWrite, "Remote file name has no length!"}
	}
	return name, nil
}
