package wget

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes of wget.
const (
	exitOther   = 1
	exitUsage   = 2
	exitFile    = 3
	exitNetwork = 4
	exitTLS     = 5
	exitAuth    = 6
	exitServer  = 8
)

// maxHeaders bounds the headers of an answer, in bytes.
const maxHeaders = 1 << 20

// Wget runs commands for one job. It is safe for concurrent use.
type Wget struct{ proxy *url.URL }

// New sends every request through proxy; an empty one means that there is none.
func New(proxy string) *Wget {
	if u, err := url.Parse(proxy); err == nil && proxy != "" {
		return &Wget{proxy: u}
	}
	return &Wget{}
}

// failure is a transfer that ended with one of wget's exit codes.
type failure struct {
	code  int
	text  string
	again bool // another try may help
}

func (f *failure) Error() string { return f.text }

// Run is the command.
func (w *Wget) Run(ctx context.Context, inv tool.Invocation) int {
	o, err := parse(inv.Args)
	switch {
	case err != nil:
		fmt.Fprintf(inv.Stderr, "wget: %v\nTry 'wget --help' for more options.\n", err)
		return exitUsage
	case o.set["help"]:
		fmt.Fprint(inv.Stdout, usage)
		return 0
	case o.set["version"]:
		fmt.Fprintln(inv.Stdout, "GNU Wget 1 compatible, built into the Towline runner")
		return 0
	}
	client, err := w.client(inv, o)
	if err != nil {
		fmt.Fprintf(inv.Stderr, "wget: %v\n", err)
		return exitTLS
	}
	defer client.CloseIdleConnections()
	out := &output{options: o, inv: inv}
	defer out.close()
	code := 0
	for _, address := range o.urls {
		t := &transfer{options: o, inv: inv, client: client, out: out}
		if err := t.run(ctx, address); err != nil {
			if !o.set["q"] {
				fmt.Fprintf(inv.Stderr, "wget: %s: %s\n", t.shown(address), err.text)
			}
			code = worst(code, err.code)
		}
	}
	return code
}

// worst is the code that counts of several: the lower one, as wget has it.
func worst(a, b int) int {
	if a == 0 {
		return b
	}
	return min(a, b)
}

func (w *Wget) client(inv tool.Invocation, o *options) (*http.Client, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: o.set["insecure"], //nolint:gosec // --no-check-certificate asks for it
	}
	if o.ca != "" {
		text, err := os.ReadFile(inv.Path(o.ca))
		if err != nil {
			return nil, fmt.Errorf("%s: %s", o.ca, tool.Reason(err))
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: no certificate in it", o.ca)
		}
	}
	transport := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: o.timeout}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    o.timeout,
		ResponseHeaderTimeout:  o.timeout,
		MaxResponseHeaderBytes: maxHeaders,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		IdleConnTimeout:        time.Minute,
	}
	if w.proxy != nil {
		transport.Proxy = http.ProxyURL(w.proxy)
	}
	return &http.Client{Transport: transport, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > o.redirects {
			return &failure{code: exitServer, text: fmt.Sprintf("%d redirections exceeded", o.redirects)}
		}
		return nil
	}}, nil
}

// classified puts an error of net/http into wget's terms.
func classified(err error) *failure {
	var f *failure
	var u *url.Error
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	if errors.As(err, &f) {
		return f
	}
	if errors.As(err, &u) {
		err = u.Err // without the address, which may hold a password
	}
	switch {
	case errors.As(err, &verification), errors.As(err, &record):
		return &failure{code: exitTLS, text: err.Error() + " (--no-check-certificate does without)"}
	case strings.HasPrefix(err.Error(), "towline: "):
		return &failure{code: exitServer, text: err.Error()} // the way out refuses the host
	}
	return &failure{code: exitNetwork, text: err.Error(), again: true}
}
