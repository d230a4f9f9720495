package curl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const usage = `Usage: curl [options...] <url>
This is the part of curl that deploy scripts use, as it is built into the Towline runner:
 -s -S -f --fail-with-body -L -o -O -X -H -d --data-raw --data-binary --data-urlencode --json
 -F -u --oauth2-bearer -k --cacert -I -i -D -w -G -T --retry --retry-delay --retry-all-errors
 --retry-connrefused --connect-timeout -m --compressed -A -e -b -c --create-dirs --output-dir
`

// maxHeaders bounds the headers of an answer, in bytes.
const maxHeaders = 1 << 20

// Curl runs commands for one job. It is safe for concurrent use.
type Curl struct {
	proxy    *url.URL
	proxyErr error
}

// New sends every request through proxy. An empty one means that there is none.
func New(proxy string) *Curl {
	if proxy == "" {
		return &Curl{}
	}
	u, err := url.Parse(proxy)
	if err != nil { // err shows the address, which holds a secret
		return &Curl{proxyErr: failure{exitConnect, "the address of the proxy cannot be read"}}
	}
	return &Curl{proxy: u}
}

// Run is the command.
func (c *Curl) Run(ctx context.Context, inv tool.Invocation) int {
	opts, err := parse(inv.Args)
	if err == nil {
		err = opts.check()
	}
	switch {
	case errors.Is(err, pflag.ErrHelp) || err == nil && opts.help:
		fmt.Fprint(inv.Stdout, usage)
		return 0
	case err != nil:
		fmt.Fprintf(inv.Stderr, "curl: %v\ncurl: try 'curl --help' for more information\n", err)
		return exitUsage
	case opts.version:
		fmt.Fprintln(inv.Stdout, "curl 8 (built into the Towline runner)\nProtocols: http https")
		return 0
	case len(opts.urls) == 0:
		fmt.Fprintln(inv.Stderr, "curl: no URL specified!\ncurl: try 'curl --help' for more information")
		return exitUsage
	}
	code := 0
	client, err := c.client(inv, opts)
	if err != nil {
		return report(inv, opts, err)
	}
	defer client.CloseIdleConnections()
	for n, address := range opts.urls {
		t := &transfer{options: opts, inv: inv, client: client}
		err := t.prepare(address, n)
		if err == nil {
			err = t.run(ctx)
		}
		code = report(inv, opts, err)
		t.facts.exit = code
		if err != nil {
			t.facts.problem = first(err).text
		}
		if opts.writeOut != "" {
			if err := t.writeFacts(); err != nil {
				return report(inv, opts, err)
			}
		}
	}
	return code
}

// first is the failure that decides about the exit code.
func first(err error) failure {
	var f failure
	if !errors.As(err, &f) {
		f = failure{exitReceive, err.Error()}
	}
	return f
}

func report(inv tool.Invocation, opts *options, err error) int {
	if err == nil {
		return 0
	}
	f := first(err)
	if !opts.silent || opts.showError {
		fmt.Fprintf(inv.Stderr, "curl: (%d) %s\n", f.code, f.text)
	}
	return f.code
}

// prepare reads the address and what is to be sent.
func (t *transfer) prepare(address string, n int) error {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(strings.ReplaceAll(address, " ", "%20"))
	switch {
	case err == nil && u.Scheme != "http" && u.Scheme != "https":
		return failure{exitProtocol, fmt.Sprintf("Protocol \"%s\" not supported: a job speaks HTTP and HTTPS", u.Scheme)}
	case err != nil || u.Host == "":
		return failure{exitURL, "URL using bad/illegal format or missing URL"}
	}
	if u.User != nil && t.user == "" {
		password, _ := u.User.Password()
		t.user = u.User.Username() + ":" + password
	}
	u.User = nil
	t.url = u
	if t.body, err = t.options.body(t.inv); err != nil {
		return err
	}
	if t.get && t.body.present {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += string(t.body.bytes)
	}
	if strings.HasSuffix(u.Path, "/") && t.upload != "" && t.upload != "-" {
		u.Path += t.upload[strings.LastIndex(t.upload, "/")+1:]
	}
	switch {
	case n < len(t.outputs):
		t.target = t.outputs[n]
	case t.remoteName || t.remoteNameAll:
		t.target, err = remoteFile(u)
	}
	return err
}

func (c *Curl) client(inv tool.Invocation, opts *options) (*http.Client, error) {
	if c.proxyErr != nil {
		return nil, c.proxyErr
	}
	config, err := tlsConfig(inv, opts)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: seconds(opts.connect)}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    seconds(opts.connect),
		MaxResponseHeaderBytes: maxHeaders,
		DisableCompression:     !opts.compressed,
		ForceAttemptHTTP2:      true,
		IdleConnTimeout:        time.Minute,
	}
	if c.proxy != nil {
		transport.Proxy = http.ProxyURL(c.proxy)
	}
	client := &http.Client{Transport: transport, CheckRedirect: opts.redirect}
	if opts.cookies != "" || opts.jar != "" {
		if client.Jar, err = cookiejar.New(nil); err != nil {
			return nil, err
		}
	}
	return client, nil
}

// redirect decides about following. The request is the next one, via the ones
// before.
func (o *options) redirect(req *http.Request, via []*http.Request) error {
	if !o.location && !o.trusted {
		return http.ErrUseLastResponse
	}
	if len(via) > o.redirects {
		return failure{exitRedirects, fmt.Sprintf("Maximum (%d) redirects followed", o.redirects)}
	}
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return failure{exitProtocol, fmt.Sprintf("Protocol \"%s\" not supported", req.URL.Scheme)}
	}
	if o.request != "" {
		req.Method = o.request
	}
	if o.trusted {
		req.Header["Authorization"] = via[0].Header["Authorization"]
	}
	req.Header.Del("Referer")
	if o.referer != "" {
		req.Header.Set("Referer", o.referer)
	}
	return nil
}

func tlsConfig(inv tool.Invocation, opts *options) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: opts.insecure, //nolint:gosec // -k asks for it
	}
	if opts.cacert != "" {
		text, err := os.ReadFile(inv.Path(opts.cacert))
		if err != nil {
			return nil, failure{exitCAFile, fmt.Sprintf("error setting certificate verify locations: CAfile: %s", opts.cacert)}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, failure{exitCAFile, fmt.Sprintf("no certificate in %s", opts.cacert)}
		}
	}
	if opts.cert != "" {
		key := opts.key
		if key == "" {
			key = opts.cert
		}
		pair, err := tls.LoadX509KeyPair(inv.Path(opts.cert), inv.Path(key))
		if err != nil {
			return nil, failure{58, "could not load the client certificate: " + err.Error()}
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
