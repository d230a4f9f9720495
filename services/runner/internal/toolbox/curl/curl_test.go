package curl

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// same are command lines that do what curl does. URL is the server, TLS the
// secure one, DEAD an address where nothing listens.
var same = []string{
	"-s URL/echo",
	"-sS URL/echo?a=b",
	"--silent --url URL/echo",
	"-s URL/echo URL/file.txt",
	"-s -X DELETE URL/echo",
	"-sXPUT URL/echo -d x=1",
	"-s -H X-One:1 -H X-Two:two -H X-One:3 URL/echo",
	"-s -H Accept:application/json URL/echo",
	"-s -H Accept: URL/echo",
	"-s -H X-Empty; URL/echo",
	"-s -A agent/1 URL/echo",
	"-s -e http://ref/ URL/echo",
	"-s -d a=1 -d b=2 URL/echo",
	"-s --data @body.json URL/echo",
	"-s --data-binary @body.json URL/echo",
	"-s --data-raw @body.json URL/echo",
	"-s --data-binary @- URL/echo",
	"-s -d @- -H Content-Type:text/x URL/echo",
	"-s --data-urlencode name=a&b URL/echo",
	"-s --data-urlencode =a/b URL/echo",
	"-s --data-urlencode a@body.json URL/echo",
	"-s -G -d q=1 --data-urlencode r=a!b$c URL/echo",
	"-s -G -d q=1 URL/echo?z=0",
	`-s --json {"a":1} URL/echo`,
	"-s --json @body.json -X PATCH URL/echo",
	"-s -F a=1 -F f=@body.json URL/echo",
	"-s -F f=@body.txt;type=text/x;filename=other URL/echo",
	"-s -F f=<body.txt URL/echo",
	"-s --form-string a=@x URL/echo",
	"-s -F f=@missing URL/echo",
	"-s -T body.txt URL/echo/",
	"-s -T body.txt URL/echo/name",
	"-s --upload-file body.txt -X POST URL/echo",
	"-s -u u:p:w URL/private",
	"-s -u u:wrong URL/private",
	"-sf -u u:wrong URL/private",
	"-s --oauth2-bearer token URL/echo",
	"-s -b a=1;b=2 URL/echo",
	"-s -L -b none URL/cookies",
	"-s -L -c jar.txt -o /dev/null URL/file.txt",
	"-s -I URL/status/204 -o head.txt -w %{http_code}",
	"-s -o out.txt URL/file.txt",
	"-s -o a.txt -o b.txt URL/file.txt URL/file.txt",
	"-sO URL/file.txt",
	"-sO URL/",
	"-s --create-dirs -o new/dir/out.txt URL/file.txt",
	"-s -o missing/out.txt URL/file.txt",
	"-s -o out.txt --output-dir sub URL/file.txt",
	"-s URL/redirect/2",
	"-sL URL/redirect/2",
	"-sL --max-redirs 1 URL/redirect/3",
	"-sL -d a=1 URL/redirect/1",
	"-sL -d a=1 URL/redirect/1?code=307",
	"-sL -X POST -d a=1 URL/redirect/1?code=308",
	"-s URL/status/404",
	"-sf URL/status/404",
	"-f URL/status/500 -s -S",
	"-fsSL URL/status/403",
	"-s --fail-with-body URL/status/500",
	"-s -w %{http_code}\\n -o /dev/null URL/status/418",
	"-s -w [%{http_code}|%{size_download}|%{content_type}|%{num_redirects}|%{url_effective}|%{method}|%{exitcode}|%{errormsg}|%{filename_effective}] URL/echo",
	"-sL -w %{redirect_url}|%{num_redirects} -o /dev/null URL/redirect/3",
	"-s -w %{redirect_url}\\n URL/redirect/3 -o /dev/null",
	"-s -w %%\\t%{nonsense}%{http_version}%{scheme} URL/file.txt",
	"-s -w @format URL/file.txt",
	"-sf -w %{http_code}%{onerror}failed URL/status/404",
	"-sS http://DEAD/",
	"-s http://no-such-host.invalid/",
	"-sS URL/hangup",
	"-sS URL/short",
	"-s -m 0.2 URL/slow",
	"-s --connect-timeout 1 --max-time 0.2 URL/slow",
	"-sS TLS/file.txt",
	"-sk TLS/file.txt",
	"--insecure -s TLS/echo",
	"-s --cacert ca.pem TLS/file.txt",
	"-s --cacert missing.pem TLS/file.txt",
	"-sS https://URLHOST/file.txt",
	"-s --compressed URL/file.txt",
	"-sS",
	"-s --nonsense URL/echo",
	"-s --retry 3 --retry-delay 1 URL/flaky",
	"-s --retry 1 --retry-delay 1 --retry-connrefused http://DEAD/",
	"-s --no-progress-meter -N -4 --http1.1 URL/file.txt",
	"-s URLHOST/file.txt",
}

func TestSameAsCurl(t *testing.T) {
	program, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("this test compares with curl: apt-get install curl")
	}
	plain, secure := newSite(t, false), newSite(t, true)
	secure.Config.ErrorLog = nil
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	names := strings.NewReplacer("URLHOST", strings.TrimPrefix(plain.URL, "http://"), "URL", plain.URL, "TLS", secure.URL, "DEAD", unused)
	for _, line := range same {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(names.Replace(line))
			theirs, ours := folder(t, ca), folder(t, ca)
			cmd := exec.Command(program, args...)
			var out, errs bytes.Buffer
			cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, []string{"LC_ALL=C"}, strings.NewReader("from\nstdin"), &out, &errs
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			want := answer{cmd.ProcessState.ExitCode(), out.String(), contents(t, theirs)}
			got, said := run(t.Context(), &Curl{}, ours, args)
			got.Files = contents(t, ours)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-curl +here)\n%s\ncurl says %s\nthis one %s", d, &errs, said)
			}
			// The first words of a message are its class and curl's code.
			first, _, _ := strings.Cut(errs.String(), ")")
			here, _, _ := strings.Cut(said, ")")
			if strings.HasPrefix(first, "curl: (") && first != here {
				t.Errorf("curl says %q, this one %q", &errs, said)
			}
		})
	}
}

type answer struct {
	Code  int
	Out   string
	Files map[string]string
}

func folder(t *testing.T, ca []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"body.json": "{\"a\":\n1}\n", "body.txt": "text\n", "format": "code %{http_code}\\n", "ca.pem": string(ca)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// contents are all files, without those whose form is curl's own.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path == "jar.txt" || path == "head.txt" {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		out[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func run(ctx context.Context, c *Curl, dir string, args []string) (answer, string) {
	var out, errs strings.Builder
	code := c.Run(ctx, tool.Invocation{
		Name: "curl", Args: args, Dir: dir, Stdin: strings.NewReader("from\nstdin"), Stdout: &out, Stderr: &errs,
	})
	return answer{Code: code, Out: out.String()}, errs.String()
}

// unused is an address where nothing listens.
const unused = "127.0.0.1:1"

func TestEveryRequestGoesThroughTheProxy(t *testing.T) {
	plain, secure := newSite(t, false), newSite(t, true)
	var seen []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Method+" "+r.Host)
		if r.Method != http.MethodConnect {
			(&httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}).ServeHTTP(w, r)
			return
		}
		http.Error(w, "not allowed", http.StatusForbidden)
	}))
	defer proxy.Close()
	c := New(proxy.URL)
	if got, said := run(t.Context(), c, t.TempDir(), []string{"-s", plain.URL + "/file.txt"}); got.Code != 0 || got.Out != "a file\n" {
		t.Errorf("%+v %s", got, said)
	}
	got, said := run(t.Context(), c, t.TempDir(), []string{"-sSk", secure.URL + "/file.txt"})
	if got.Code != exitReceive || !strings.Contains(said, "Forbidden") {
		t.Errorf("%+v %s", got, said)
	}
	want := []string{"GET " + strings.TrimPrefix(plain.URL, "http://"), "CONNECT " + strings.TrimPrefix(secure.URL, "https://")}
	if d := cmp.Diff(want, seen); d != "" {
		t.Error(d)
	}
}

func TestOtherWaysOutAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		"-x http://other:1 http://a/":       "the way out of a job is fixed",
		"--resolve a:80:127.0.0.1 http://a": "names are resolved outside",
		"-Z http://a http://b":              "one transfer after the other",
		"-K file":                           "write the options on the command line",
		"--unix-socket /s http://a/":        "only HTTP and HTTPS",
	} {
		got, said := run(t.Context(), &Curl{}, t.TempDir(), strings.Fields(line))
		if got.Code != exitUsage || !strings.Contains(said, want) {
			t.Errorf("%s: %+v %q", line, got, said)
		}
	}
	for _, address := range []string{"file:///etc/passwd", "ftp://a/b", "gopher://a"} {
		got, said := run(t.Context(), &Curl{}, t.TempDir(), []string{address})
		if got.Code != exitProtocol || got.Out != "" || !strings.Contains(said, "not supported") {
			t.Errorf("%s: %+v %q", address, got, said)
		}
	}
}

func TestMissingDataIsAnError(t *testing.T) {
	// curl 7 sends an empty body instead.
	got, said := run(t.Context(), &Curl{}, t.TempDir(), []string{"-d", "@missing", "http://" + unused})
	if got.Code != exitRead || !strings.Contains(said, "curl: (26) Failed to open missing") {
		t.Errorf("%+v %s", got, said)
	}
}

func TestUnreadableProxyIsNotShown(t *testing.T) {
	got, said := run(t.Context(), New("http://u:secret@[bad"), t.TempDir(), []string{"http://a/"})
	if got.Code != exitConnect || strings.Contains(said, "secret") {
		t.Errorf("%+v %s", got, said)
	}
}

func TestPasswordsAreNotInMessages(t *testing.T) {
	got, said := run(t.Context(), &Curl{}, t.TempDir(), []string{"-sS", "http://user:hunter2@" + unused + "/"})
	if got.Code != exitConnect || strings.Contains(said, "hunter2") {
		t.Errorf("%+v %s", got, said)
	}
}

func TestEndedJobStopsATransfer(t *testing.T) {
	s := newSite(t, false)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if got, _ := run(ctx, &Curl{}, t.TempDir(), []string{"-s", "--retry", "5", s.URL + "/slow"}); got.Code == 0 || time.Since(start) > time.Minute {
		t.Errorf("%+v after %s", got, time.Since(start))
	}
}
