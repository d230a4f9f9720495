package artifacts

import (
	"archive/zip"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/archive"
)

func (b *bench) upload(name, format, kind string, paths ...string) error {
	u := Upload{Project: b.root, Dir: b.dir, Rules: archive.Rules{Paths: paths}, Format: format, Type: kind, ExpireIn: "1 week"}
	if name != "" {
		u.Name = &name
	}
	return b.Client.Upload(context.Background(), u)
}

func TestUpload(t *testing.T) {
	g := newGitLab(t)
	b := newBench(t, g.URL+"/", map[string]string{"a.txt": "hello"})
	must(t, b.upload("out/$x/name", "", "", "*.txt", "missing"))
	got := g.requests()
	if len(got) != 1 {
		t.Fatalf("%d requests", len(got))
	}
	r := got[0]
	if r.path != "/api/v4/jobs/1001/artifacts" || r.query != "artifact_format=zip&artifact_type=archive&expire_in=1+week" || r.token != token || !r.chunked || r.filename != "name.zip" {
		t.Errorf("request %+v", r)
	}
	zr, err := zip.NewReader(reader(r.content), int64(len(r.content)))
	must(t, err)
	if len(zr.File) != 1 || zr.File[0].Name != "a.txt" {
		t.Errorf("zip of %d files", len(zr.File))
	}
	want := `N Uploading artifacts...
  *.txt: found 1 matching artifact files and directories
W missing: no matching files. Ensure that the artifact path is relative to the working directory (DIR)
  Uploading artifacts as "archive" to coordinator... 201 Created  id=1001 responseStatus=201 Created
`
	if diff := cmp.Diff(want, b.text(g)); diff != "" {
		t.Error(diff)
	}
	b.left(t)
}

func TestNamesOfArtifacts(t *testing.T) {
	empty := " "
	for name, want := range map[string]string{"": "artifacts.zip", "x": "x.zip", "a/b": "b.zip", "..": "...zip", "/": "default.zip", empty: " .zip"} {
		g := newGitLab(t)
		b := newBench(t, g.URL, map[string]string{"a": ""})
		must(t, b.upload(name, "zip", "archive", "a"))
		if got := g.requests()[0].filename; got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	resolved := ""
	if got := (&Upload{Name: &resolved}).filename(archive.Gzip); got != "default.gz" {
		t.Errorf("a name that resolves to nothing: %s", got)
	}
}

func TestNoFilesAreNoFailure(t *testing.T) {
	g := newGitLab(t)
	b := newBench(t, g.URL, nil)
	must(t, b.upload("", "gzip", "junit", "*.xml"))
	if len(g.requests()) != 0 || !strings.HasSuffix(b.log.String(), "E No files to upload\n") {
		t.Errorf("%d requests, log %s", len(g.requests()), b.log.String())
	}
}

func TestAnswersToAnUpload(t *testing.T) {
	for name, tt := range map[string]struct {
		answers  []http.HandlerFunc
		requests int
		failure  string // "" is success
	}{
		"created":              {nil, 1, ""},
		"bad request for ever": {times(9, status(400)), 3, "400 Bad Request"},
		"bad request once":     {times(1, status(400)), 2, ""},
		"forbidden":            {times(1, status(403)), 1, "permission denied"},
		"disabled":             {times(1, status(405)), 1, "artifacts are disabled"},
		"too large":            {times(1, status(413)), 1, "too large"},
		"unavailable":          {times(99, status(503)), 6 * 5, "503 Service Unavailable"},
		"unavailable for long": {times(5*5, status(503)), 5*5 + 1, ""},
		"internal error":       {times(99, status(500)), 3 * 5, "500 Internal Server Error"},
		"hidden error":         {times(4, status(502)), 5, ""},
		"newer code":           {times(1, status(515)), 2, ""},
		"not implemented":      {times(9, status(501)), 3, "501 Not Implemented"},
		"no answer":            {times(9, drop), 3, "does not answer"},
		"no answer once":       {times(1, drop), 2, ""},
		"redirect to nowhere":  {times(1, status(307)), 1, "redirects the upload to nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGitLab(t, tt.answers...)
			b := newBench(t, g.URL, map[string]string{"a": "x"})
			err := b.upload("", "raw", "codequality", "a")
			var failure *Error
			switch {
			case tt.failure == "" && err != nil:
				t.Errorf("error %v", err)
			case tt.failure != "" && (!errors.As(err, &failure) || !strings.Contains(err.Error(), tt.failure) || !strings.HasSuffix(b.log.String(), "E "+err.Error()+"\n")):
				t.Errorf("error %v, want %s; log %s", err, tt.failure, b.log.String())
			}
			if n := len(g.requests()); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			for _, r := range g.requests() {
				if string(r.content) != "x" || r.filename != "artifacts" {
					t.Errorf("request %+v", r)
				}
			}
			if strings.Contains(b.log.String(), token) {
				t.Errorf("log %s", b.log.String())
			}
			b.left(t)
		})
	}
}

func TestPausesBetweenRequests(t *testing.T) {
	limited := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "60")
		status(429)(w, r)
	}
	g := newGitLab(t, limited, status(500), nil)
	b := newBench(t, g.URL, map[string]string{"a": "x"})
	must(t, b.upload("", "raw", "codequality", "a"))
	if len(b.pauses) != 2 || b.pauses[0] != time.Minute || b.pauses[1] < 100*time.Millisecond || b.pauses[1] > 200*time.Millisecond {
		t.Errorf("pauses %v", b.pauses)
	}
	g = newGitLab(t, times(9, status(400))...)
	b = newBench(t, g.URL, map[string]string{"a": "x"})
	if err := b.upload("", "raw", "codequality", "a"); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff([]time.Duration{time.Second, 2 * time.Second}, b.pauses); diff != "" {
		t.Error(diff)
	}
}

func TestUploadGoesWhereGitLabPoints(t *testing.T) {
	other := newGitLab(t)
	g := newGitLab(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", other.URL+"/elsewhere?x=y")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	b := newBench(t, g.URL, map[string]string{"a": "x"})
	must(t, b.upload("", "raw", "codequality", "a"))
	got := other.requests()
	if len(got) != 1 || got[0].path != "/api/v4/jobs/1001/artifacts" || got[0].token != token || string(got[0].content) != "x" {
		t.Errorf("requests %+v", got)
	}
	for range 3 {
		g = newGitLab(t)
		loop := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", g.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
		g.answers = times(9, loop)
		b = newBench(t, g.URL, map[string]string{"a": "x"})
		if err := b.upload("", "raw", "x", "a"); err == nil || len(g.requests()) != 3 {
			t.Errorf("error %v after %d requests", err, len(g.requests()))
		}
	}
}

func TestTheTokenDoesNotLeaveTLS(t *testing.T) {
	plain := newGitLab(t)
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusTemporaryRedirect))
	defer secure.Close()
	b := newBench(t, secure.URL, map[string]string{"a": "x"})
	b.http.Transport.(*http.Transport).TLSClientConfig.RootCAs = secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	if err := b.upload("", "raw", "x", "a"); err == nil || !strings.Contains(err.Error(), "refused a redirect of the upload from https to http") || len(plain.requests()) != 0 {
		t.Errorf("error %v", err)
	}
	if err := b.Client.Download(t.Context(), Dependency{ID: 1, Token: token}, b.root); err == nil || len(plain.requests()) != 0 {
		t.Errorf("error %v", err)
	}
}

func TestUploadEndsWithItsContext(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	g := newGitLab(t, func(w http.ResponseWriter, r *http.Request) { cancel(gone); drop(w, r) })
	b := newBench(t, g.URL, map[string]string{"a": "x"})
	err := b.Client.Upload(ctx, Upload{Project: b.root, Dir: b.dir, Rules: archive.Rules{Paths: []string{"a"}}})
	if !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
	b.left(t)
}

func TestAClientNeedsAnAddress(t *testing.T) {
	for _, url := range []string{"", "gitlab.example.com", "ftp://x", "http://"} {
		if _, err := New(Config{URL: url}); err == nil || !strings.Contains(err.Error(), "upgrade both") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
