package curl

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"
)

// defaultRedirects is curl's own limit.
const defaultRedirects = 50

// options are the parsed command line.
type options struct {
	urls, headers, outputs, forms []string
	data                          []datum
	request, user, agent, referer string
	writeOut, upload, dumpHeader  string
	bearer, cookies, jar, cacert  string
	outputDir, cert, key          string

	silent, showError, fail, failWithBody, location, remoteName bool
	include, head, get, insecure, compressed, verbose, json     bool
	remoteNameAll, createDirs, trusted, help, version           bool
	retryAll, retryRefused, globOff                             bool

	retries, redirects int
	retryDelay         float64
	connect, total     float64
	retryMax           float64
}

// datum is one piece of a request's body.
type datum struct {
	kind  string // the option
	value string
}

// dataFlag collects the data options in their order.
type dataFlag struct {
	opts *options
	kind string
}

func (d dataFlag) String() string { return "" }
func (d dataFlag) Type() string   { return "data" }

func (d dataFlag) Set(value string) error {
	d.opts.data = append(d.opts.data, datum{d.kind, value})
	return nil
}

// refused are curl's options that have no place here, with the reason.
var refused = map[string]string{
	"proxy": "the way out of a job is fixed", "socks5": "the way out of a job is fixed",
	"socks5-hostname": "the way out of a job is fixed", "preproxy": "the way out of a job is fixed",
	"noproxy": "the way out of a job is fixed", "proxy-user": "the way out of a job is fixed",
	"resolve": "names are resolved outside of the job", "connect-to": "names are resolved outside of the job",
	"interface": "the way out of a job is fixed", "unix-socket": "only HTTP and HTTPS to hosts is possible",
	"parallel": "one transfer after the other; start several curl commands with & and wait for them",
	"config":   "write the options on the command line", "next": "use one curl command for each request",
	"ftp-create-dirs": "only HTTP and HTTPS are possible", "netrc": "give the credentials with -u",
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := pflag.NewFlagSet("curl", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = false
	o.text(f)
	o.switches(f)
	for name := range refused {
		short := map[string]string{"proxy": "x", "parallel": "Z", "config": "K", "next": ":", "proxy-user": "U", "netrc": "n"}[name]
		f.StringP(name, short, "", "")
		f.Lookup(name).NoOptDefVal = "-"
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	for name, why := range refused {
		if f.Changed(name) {
			return nil, fmt.Errorf("option --%s is not available in a job: %s", name, why)
		}
	}
	o.urls = append(o.urls, f.Args()...)
	if o.json {
		o.headers = append(o.headers, "Content-Type: application/json", "Accept: application/json")
	}
	return o, nil
}

func (o *options) text(f *pflag.FlagSet) {
	f.StringArrayVar(&o.urls, "url", nil, "")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "")
	f.StringArrayVarP(&o.outputs, "output", "o", nil, "")
	f.StringArrayVarP(&o.forms, "form", "F", nil, "")
	f.VarP(formString{&o.forms}, "form-string", "", "")
	for name, short := range map[string]string{"data": "d", "data-ascii": "", "data-raw": "", "data-binary": "", "data-urlencode": ""} {
		f.VarP(dataFlag{o, name}, name, short, "")
	}
	f.VarP(jsonFlag{o}, "json", "", "")
	f.StringVarP(&o.request, "request", "X", "", "")
	f.StringVarP(&o.user, "user", "u", "", "")
	f.StringVarP(&o.agent, "user-agent", "A", "curl/8 (towline)", "")
	f.StringVarP(&o.referer, "referer", "e", "", "")
	f.StringVarP(&o.writeOut, "write-out", "w", "", "")
	f.StringVarP(&o.upload, "upload-file", "T", "", "")
	f.StringVarP(&o.dumpHeader, "dump-header", "D", "", "")
	f.StringVar(&o.bearer, "oauth2-bearer", "", "")
	f.StringVarP(&o.cookies, "cookie", "b", "", "")
	f.StringVarP(&o.jar, "cookie-jar", "c", "", "")
	f.StringVar(&o.cacert, "cacert", "", "")
	f.StringVarP(&o.cert, "cert", "E", "", "")
	f.StringVar(&o.key, "key", "", "")
	f.StringVar(&o.outputDir, "output-dir", "", "")
	f.IntVar(&o.retries, "retry", 0, "")
	f.IntVar(&o.redirects, "max-redirs", defaultRedirects, "")
	f.Float64Var(&o.retryDelay, "retry-delay", 0, "")
	f.Float64Var(&o.retryMax, "retry-max-time", 0, "")
	f.Float64Var(&o.connect, "connect-timeout", 0, "")
	f.Float64VarP(&o.total, "max-time", "m", 0, "")
}

func (o *options) switches(f *pflag.FlagSet) {
	var ignored bool
	for name, s := range map[string]struct {
		short string
		at    *bool
	}{
		"silent": {"s", &o.silent}, "show-error": {"S", &o.showError}, "fail": {"f", &o.fail},
		"fail-with-body": {"", &o.failWithBody}, "location": {"L", &o.location}, "location-trusted": {"", &o.trusted},
		"remote-name": {"O", &o.remoteName}, "remote-name-all": {"", &o.remoteNameAll}, "include": {"i", &o.include}, "head": {"I", &o.head},
		"get": {"G", &o.get}, "insecure": {"k", &o.insecure}, "compressed": {"", &o.compressed},
		"verbose": {"v", &o.verbose}, "create-dirs": {"", &o.createDirs}, "help": {"h", &o.help}, "version": {"V", &o.version},
		"retry-all-errors": {"", &o.retryAll}, "retry-connrefused": {"", &o.retryRefused}, "globoff": {"g", &o.globOff},
		// What net/http does anyway, or what only a terminal shows.
		"progress-bar": {"#", &ignored}, "no-progress-meter": {"", &ignored}, "no-buffer": {"N", &ignored},
		"http1.1": {"", &ignored}, "http2": {"", &ignored}, "tlsv1.2": {"", &ignored}, "tlsv1.3": {"", &ignored},
		"ipv4": {"4", &ignored}, "ipv6": {"6", &ignored}, "no-keepalive": {"", &ignored}, "disable": {"q", &ignored},
		"basic": {"", &ignored}, "no-sessionid": {"", &ignored}, "path-as-is": {"", &ignored}, "tcp-nodelay": {"", &ignored},
	} {
		f.BoolVarP(s.at, name, s.short, false, "")
	}
}

// formString is -F without the meaning of @ and <.
type formString struct{ forms *[]string }

func (s formString) String() string { return "" }
func (s formString) Type() string   { return "name=value" }

func (s formString) Set(value string) error {
	*s.forms = append(*s.forms, "\x00"+value)
	return nil
}

// jsonFlag is --json.
type jsonFlag struct{ opts *options }

func (j jsonFlag) String() string { return "" }
func (j jsonFlag) Type() string   { return "data" }

func (j jsonFlag) Set(value string) error {
	j.opts.json = true
	return dataFlag{j.opts, "json"}.Set(value)
}

// method is the request's method.
func (o *options) method() string {
	switch {
	case o.request != "":
		return o.request
	case o.head:
		return "HEAD"
	case o.upload != "":
		return "PUT"
	case o.get:
		return "GET"
	case len(o.data) > 0 || len(o.forms) > 0:
		return "POST"
	}
	return "GET"
}

// check refuses what contradicts itself.
func (o *options) check() error {
	if o.head && (len(o.data) > 0 && !o.get || len(o.forms) > 0) || len(o.data) > 0 && len(o.forms) > 0 {
		return errors.New("you can only select one HTTP request method! You asked for both POST and HEAD, or for -d and -F")
	}
	return nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
