package curl

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// writeFacts is --write-out.
func (t *transfer) writeFacts() error {
	format := t.writeOut
	if name, ok := strings.CutPrefix(format, "@"); ok {
		text, err := readFile(t.inv, name)
		if err != nil {
			return err
		}
		format = string(text)
	}
	out := t.inv.Stdout
	var b strings.Builder
	for format != "" {
		switch {
		case strings.HasPrefix(format, "%%"):
			b.WriteByte('%')
			format = format[2:]
		case strings.HasPrefix(format, "%{"):
			name, rest, ok := strings.Cut(format[2:], "}")
			if !ok {
				b.WriteString(format)
				format = ""
				continue
			}
			format = rest
			if name == "stdout" || name == "stderr" || name == "onerror" {
				if name == "onerror" && t.facts.exit == 0 {
					format = ""
				}
				if _, err := io.WriteString(out, b.String()); err != nil {
					return err
				}
				b.Reset()
				if name != "onerror" {
					out = map[string]io.Writer{"stdout": t.inv.Stdout, "stderr": t.inv.Stderr}[name]
				}
				continue
			}
			b.WriteString(t.fact(name))
		case strings.HasPrefix(format, "%header{"):
			name, rest, _ := strings.Cut(format[len("%header{"):], "}")
			b.WriteString(t.facts.header.Get(name))
			format = rest
		case format[0] == '\\' && len(format) > 1:
			b.WriteString(map[byte]string{'n': "\n", 'r': "\r", 't': "\t"}[format[1]])
			if !strings.ContainsRune("nrt", rune(format[1])) {
				b.WriteString(format[:2])
			}
			format = format[2:]
		default:
			b.WriteByte(format[0])
			format = format[1:]
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// fact is one variable of --write-out.
func (t *transfer) fact(name string) string {
	f := &t.facts
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	switch name {
	case "http_code", "response_code":
		return fmt.Sprintf("%03d", f.code)
	case "url_effective":
		return f.url
	case "url":
		return t.url.String()
	case "redirect_url":
		return f.redirect
	case "num_redirects":
		return strconv.Itoa(f.redirects)
	case "content_type":
		return f.kind
	case "size_download":
		return number(f.downloaded)
	case "size_upload":
		return strconv.Itoa(len(t.body.bytes))
	case "time_total":
		return fmt.Sprintf("%.6f", f.total.Seconds())
	case "time_starttransfer":
		return fmt.Sprintf("%.6f", f.firstByte.Seconds())
	case "time_namelookup", "time_connect", "time_appconnect", "time_pretransfer", "time_redirect":
		return "0.000000"
	case "speed_download":
		return number(int64(float64(f.downloaded) / max(f.total.Seconds(), 1e-6)))
	case "http_version":
		return strings.TrimSuffix(strings.TrimPrefix(f.proto, "HTTP/"), ".0")
	case "scheme":
		return strings.ToUpper(t.url.Scheme)
	case "method":
		return t.method()
	case "filename_effective":
		return f.file
	case "exitcode":
		return strconv.Itoa(f.exit)
	case "errormsg":
		return f.problem
	case "num_headers":
		return strconv.Itoa(count(f.header))
	case "header_json":
		text, _ := json.Marshal(f.header)
		return string(text)
	}
	return ""
}

func count(h http.Header) (n int) {
	for _, values := range h {
		n += len(values)
	}
	return n
}
