package curl

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// site is what both curls talk to.
type site struct {
	*httptest.Server
	flaky atomic.Int64
}

func newSite(t *testing.T, secure bool) *site {
	t.Helper()
	s := &site{}
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/echo/", echo)
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.WriteHeader(code)
		fmt.Fprintf(w, "status %d\n", code)
	})
	mux.HandleFunc("/file.txt", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a file\n") })
	mux.HandleFunc("/redirect/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		to := "/echo"
		if n > 1 {
			to = fmt.Sprintf("/redirect/%d", n-1)
		}
		code := http.StatusFound
		if c := r.URL.Query().Get("code"); c != "" {
			code, _ = strconv.Atoi(c)
		}
		http.Redirect(w, r, to, code)
	})
	mux.HandleFunc("/private", func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "u" || password != "p:w" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		io.WriteString(w, "welcome\n")
	})
	mux.HandleFunc("/cookies", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.Redirect(w, r, "/echo", http.StatusFound)
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
		}
	})
	mux.HandleFunc("/flaky", func(w http.ResponseWriter, _ *http.Request) {
		if s.flaky.Add(1)%2 == 1 {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "now\n")
	})
	mux.HandleFunc("/hangup", func(w http.ResponseWriter, _ *http.Request) { hang(w, "") })
	mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) {
		hang(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
	})
	s.Server = httptest.NewUnstartedServer(mux)
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// hang writes raw bytes and closes the connection.
func hang(w http.ResponseWriter, text string) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	io.WriteString(conn, text)
	conn.Close()
}

// echo tells what it was asked, without what differs between programs.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("X-Answer", "yes")
	w.Header()["Date"] = nil
	fmt.Fprintf(w, "%s %s\n", r.Method, r.URL.RequestURI())
	var lines []string
	for name, values := range r.Header {
		for _, value := range values {
			if name == "Content-Type" && strings.HasPrefix(value, "multipart/") {
				value = "multipart"
			}
			if name == "User-Agent" && strings.HasPrefix(value, "curl/") || name == "Accept-Encoding" || name == "Expect" ||
				name == "Content-Length" && strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
				continue
			}
			lines = append(lines, name+": "+value)
		}
	}
	slices.Sort(lines)
	fmt.Fprintln(w, strings.Join(lines, "\n"))
	if kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "multipart/form-data" {
		echoParts(w, multipart.NewReader(r.Body, params["boundary"]))
		return
	}
	io.Copy(w, r.Body)
}

func echoParts(w io.Writer, parts *multipart.Reader) {
	for {
		p, err := parts.NextPart()
		if err != nil {
			return
		}
		text, _ := io.ReadAll(p)
		fmt.Fprintf(w, "part %q file %q type %q: %q\n", p.FormName(), p.FileName(), p.Header.Get("Content-Type"), text)
	}
}
