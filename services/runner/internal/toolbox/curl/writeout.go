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
	w := &facing{transfer: t, out: t.inv.Stdout}
	for format != "" && w.err == nil {
		format = w.piece(format)
	}
	w.flush()
	return w.err
}

// facing is the output of --write-out while it is written.
type facing struct {
	*transfer

	out io.Writer
	b   strings.Builder
	err error
}

func (w *facing) flush() {
	if _, err := io.WriteString(w.out, w.b.String()); w.err == nil {
		w.err = err
	}
	w.b.Reset()
}

// piece writes what the format begins with, and returns the rest.
func (w *facing) piece(format string) string {
	switch {
	case strings.HasPrefix(format, "%%"):
		w.b.WriteByte('%')
		return format[2:]
	case strings.HasPrefix(format, "%{"):
		name, rest, ok := strings.Cut(format[2:], "}")
		if !ok {
			w.b.WriteString(format)
			return ""
		}
		return w.variable(name, rest)
	case strings.HasPrefix(format, "%header{"):
		name, rest, _ := strings.Cut(format[len("%header{"):], "}")
		w.b.WriteString(w.facts.header.Get(name))
		return rest
	case format[0] == '\\' && len(format) > 1:
		if plain, ok := map[byte]string{'n': "\n", 'r': "\r", 't': "\t"}[format[1]]; ok {
			w.b.WriteString(plain)
		} else {
			w.b.WriteString(format[:2])
		}
		return format[2:]
	}
	w.b.WriteByte(format[0])
	return format[1:]
}

// variable writes a fact, or changes where the rest goes.
func (w *facing) variable(name, rest string) string {
	switch name {
	case "stdout", "stderr":
		w.flush()
		w.out = w.inv.Stdout
		if name == "stderr" {
			w.out = w.inv.Stderr
		}
	case "onerror":
		if w.facts.exit == 0 {
			return ""
		}
	default:
		w.b.WriteString(w.fact(name))
	}
	return rest
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
