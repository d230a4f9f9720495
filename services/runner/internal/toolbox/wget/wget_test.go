package wget

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

func site(t *testing.T, secure bool) *httptest.Server {
	t.Helper()
	var flaky atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s|%s|%s|%s", r.Method, r.Header.Get("X-One"), r.Header.Get("Content-Type"), r.Header.Get("Authorization"), body)
	})
	mux.HandleFunc("/file.txt", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a file\n") })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/file.txt", http.StatusFound) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/refused", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "towline: example.com is not among the hosts that jobs may reach", http.StatusForbidden)
	})
	mux.HandleFunc("/private", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) })
	mux.HandleFunc("/flaky", func(w http.ResponseWriter, _ *http.Request) {
		if flaky.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "now\n")
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := httptest.NewUnstartedServer(mux)
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

func run(t *testing.T, proxy, dir string, words ...string) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr strings.Builder
	code = New(proxy).Run(t.Context(), tool.Invocation{Name: "wget", Args: words, Dir: dir, Stdout: &stdout, Stderr: &stderr})
	return stdout.String(), stderr.String(), code
}

func TestTransfers(t *testing.T) {
	plain, secure, dir := site(t, false), site(t, true), t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	for name, text := range map[string]string{"ca.pem": string(ca), "body": "a body"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]struct {
		code      int
		out, errs string
	}{
		"-qO- URL/file.txt":                                    {0, "a file\n", ""},
		"-q -O - --header=X-One:1 URL/echo":                    {0, "GET 1|||", ""},
		"-qO- --post-data=a=1 URL/echo":                        {0, "POST |application/x-www-form-urlencoded||a=1", ""},
		"-qO- --post-file=body URL/echo":                       {0, "POST |application/x-www-form-urlencoded||a body", ""},
		"-qO- --method=PUT --body-data=x URL/echo":             {0, "PUT |application/x-www-form-urlencoded||x", ""},
		"-qO- --user=u --password=p URL/echo":                  {0, "GET ||Basic dTpw|", ""},
		"-nv -O - URL/moved":                                   {0, "a file\n", ""},
		"-q -O- URL/file.txt URL/file.txt":                     {0, "a file\na file\n", ""},
		"-q --spider URL/file.txt":                             {0, "", ""},
		"-S --spider URL/file.txt":                             {0, "", "  HTTP/1.1 200 OK"},
		"--spider URL/nope":                                    {exitServer, "", "404 Not Found"},
		"-qO- URL/nope":                                        {exitServer, "", ""},
		"-O- URL/private":                                      {exitAuth, "", "401"},
		"-O- URL/refused":                                      {exitServer, "", "towline: example.com is not among the hosts"},
		"-O- --max-redirect=1 URL/loop":                        {exitServer, "", "1 redirections exceeded"},
		"-qO- --retry-on-http-error=503 -w 0 URL/flaky":        {0, "now\n", ""},
		"-O- -t 1 -T 0.05 URL/slow":                            {exitNetwork, "", "timeout"},
		"-O- http://127.0.0.1:1/":                              {exitNetwork, "", "connection refused"},
		"-O- TLS/file.txt":                                     {exitTLS, "", "--no-check-certificate"},
		"-qO- --no-check-certificate TLS/file.txt":             {0, "a file\n", ""},
		"-qO- --ca-certificate=ca.pem TLS/file.txt":            {0, "a file\n", ""},
		"-O- --ca-certificate=missing TLS/file.txt":            {exitTLS, "", "No such file"},
		"-O- ftp://x/y":                                        {exitOther, "", "HTTP and HTTPS"},
		"-O missing/out URL/file.txt":                          {exitFile, "", "No such file"},
		"-O- --no-proxy URL/file.txt":                          {exitUsage, "", "the way out of a job is fixed"},
		"--nonsense":                                           {exitUsage, "", "unrecognized option"},
		"-q":                                                   {exitUsage, "", "missing URL"},
		"-O- --content-on-error URL/private":                   {exitAuth, "no\n", "401"},
		"-qO- --post-file=missing URL/echo":                    {exitFile, "", ""},
		"-O- http://user:secret@127.0.0.1:1/":                  {exitNetwork, "", "user:xxxxx@"},
		"-q -O- --header=Nonsense URL/echo":                    {exitUsage, "", "invalid header"},
		"-q -O- -T x URL/echo":                                 {exitUsage, "", "invalid time period"},
		"--help":                                               {0, usage, ""},
		"-qO- -U me --progress=dot --no-cache -c URL/file.txt": {0, "a file\n", ""},
	} {
		words := strings.Fields(strings.NewReplacer("URL", plain.URL, "TLS", secure.URL).Replace(line))
		out, errs, code := run(t, "", dir, words...)
		if code != want.code || out != want.out || !strings.Contains(errs, want.errs) || want.errs == "" && errs != "" || strings.Contains(errs, "secret") {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want %+v", line, code, out, errs, want)
		}
	}
}

func TestFilesAreNamedAsByWget(t *testing.T) {
	server, dir := site(t, false), t.TempDir()
	for range 2 {
		if _, errs, code := run(t, "", dir, "-q", "-P", "sub", server.URL+"/file.txt"); code != 0 {
			t.Fatal(errs)
		}
	}
	if _, errs, code := run(t, "", dir, "-O", "out", server.URL+"/file.txt"); code != 0 || !strings.Contains(errs, "'out' saved [7]") {
		t.Fatal(code, errs)
	}
	for _, name := range []string{"sub/file.txt", "sub/file.txt.1", "out"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != "a file\n" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestRequestsTakeTheWayOut(t *testing.T) {
	var seen atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Method + " " + r.Host + " " + r.Header.Get("Proxy-Authorization"))
		io.WriteString(w, "by the way out")
	}))
	t.Cleanup(proxy.Close)
	address := strings.Replace(proxy.URL, "http://", "http://job:grant@", 1)
	if out, errs, code := run(t, address, "", "-qO-", "http://example.invalid/x"); code != 0 || out != "by the way out" || seen.Load() != "GET example.invalid Basic am9iOmdyYW50" {
		t.Errorf("exit %d, %q, %q, proxy saw %v", code, out, errs, seen.Load())
	}
}

// TestARefusedTunnelSaysWhy: the reason stands in the first line of the answer.
func TestARefusedTunnelSaysWhy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 403 towline: example.invalid:443 is not allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}))
	t.Cleanup(proxy.Close)
	_, errs, code := run(t, proxy.URL, "", "-O-", "https://example.invalid/x")
	if code != exitServer || !strings.Contains(errs, "towline: example.invalid:443 is not allowed") || strings.Contains(errs, "retrying") {
		t.Errorf("exit %d, %q", code, errs)
	}
}
