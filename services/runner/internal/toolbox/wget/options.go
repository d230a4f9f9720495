package wget

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
)

const usage = `Usage: wget [OPTION]... [URL]...
This is the part of wget that deploy scripts use, as it is built into the Towline runner:
 -q -nv -v -O FILE -P DIRECTORY -S --spider -c --header=LINE --post-data=TEXT --post-file=FILE --method=NAME --body-data=TEXT
 --user=NAME --password=TEXT -U AGENT -T SECONDS -t TRIES -w SECONDS --max-redirect=N --no-check-certificate --ca-certificate=FILE
 --content-on-error --retry-connrefused
`

var spec = getopt.Spec{
	Short: "O:P:T:t:U:w:ScqvdnN4", Long: map[string]string{
		"output-document": "O", "directory-prefix": "P", "timeout": "T", "tries": "t", "user-agent": "U", "wait": "w", "server-response": "S",
		"continue": "c", "quiet": "q", "verbose": "v", "no-verbose": "no-verbose", "debug": "d", "inet4-only": "4", "timestamping": "N",
		"header": "header:", "post-data": "post-data:", "post-file": "post-file:", "method": "method:", "body-data": "body-data:", "body-file": "post-file:",
		"user": "user:", "password": "password:", "http-user": "user:", "http-password": "password:", "max-redirect": "max-redirect:",
		"no-check-certificate": "insecure", "ca-certificate": "ca:", "spider": "spider", "content-on-error": "content-on-error",
		"connect-timeout": "T", "read-timeout": "T", "dns-timeout": "T", "waitretry": "w", "retry-connrefused": "retry-connrefused",
		"no-cache": "ignored", "no-cookies": "ignored", "no-hsts": "ignored", "progress": "progress:", "show-progress": "ignored", "no-proxy": "no-proxy",
		"auth-no-challenge": "ignored", "no-clobber": "no-clobber", "help": "help", "version": "version", "retry-on-http-error": "retry-on:",
	},
}

// Defaults of wget.
const (
	usualTries     = 20
	usualRedirects = 20
	usualTimeout   = 900 * time.Second
	maxPause       = 10 * time.Second
)

// options are the parsed command line.
type options struct {
	set                    map[string]bool
	urls, headers          []string
	target, folder, agent  string
	method, user, password string
	body, bodyFile, ca     string
	hasBody                bool
	tries, redirects       int
	timeout, pause         time.Duration
	retryOn                []string
}

func parse(args []string) (*options, error) {
	for i, arg := range args { // -nv and -nc are two letters for one option
		switch arg {
		case "-nv":
			args = append(append(append([]string{}, args[:i]...), "--no-verbose"), args[i+1:]...)
		case "-nc":
			args = append(append(append([]string{}, args[:i]...), "--no-clobber"), args[i+1:]...)
		}
	}
	given, operands, err := getopt.Parse(spec, args)
	if err != nil {
		return nil, err
	}
	o := &options{
		set: map[string]bool{}, urls: operands, agent: "Wget/1 (towline)", tries: usualTries, redirects: usualRedirects,
		timeout: usualTimeout, pause: maxPause,
	}
	for _, option := range given {
		o.set[option.Name] = true
		if err := o.take(option.Name, option.Value); err != nil {
			return nil, err
		}
	}
	if len(o.urls) == 0 && !o.set["help"] && !o.set["version"] {
		return nil, errors.New("missing URL")
	}
	return o, nil
}

func (o *options) take(name, value string) (err error) {
	texts := map[string]*string{
		"O": &o.target, "P": &o.folder, "U": &o.agent, "method": &o.method, "user": &o.user, "password": &o.password, "ca": &o.ca,
		"post-data": &o.body, "body-data": &o.body, "post-file": &o.bodyFile,
	}
	if at, ok := texts[name]; ok {
		*at = value
	}
	switch name {
	case "post-data", "post-file", "body-data":
		o.hasBody = true
	case "header":
		if !strings.Contains(value, ":") {
			return fmt.Errorf("--header: invalid header '%s'", value)
		}
		o.headers = append(o.headers, value)
	case "T":
		o.timeout, err = duration(name, value)
		if o.timeout == 0 {
			o.timeout = usualTimeout
		}
	case "w":
		o.pause, err = duration(name, value)
	case "t":
		if o.tries, err = number(name, value); o.tries == 0 {
			o.tries = usualTries // wget would try for ever
		}
	case "max-redirect":
		o.redirects, err = number(name, value)
	case "retry-on":
		o.retryOn = strings.Split(value, ",")
	case "no-proxy":
		return errors.New("option --no-proxy is not available in a job: the way out of a job is fixed")
	}
	return err
}

func duration(name, value string) (time.Duration, error) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || !(n >= 0) || n > 1e6 {
		return 0, fmt.Errorf("-%s: invalid time period '%s'", name, value)
	}
	return time.Duration(n * float64(time.Second)), nil
}

func number(name, value string) (int, error) {
	if value == "inf" {
		return 0, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("-%s: invalid number '%s'", name, value)
	}
	return n, nil
}
