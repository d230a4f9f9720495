package artifacts

import (
	"archive/zip"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func zipped(t testing.TB, name, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	w, err := zw.Create(name)
	must(t, err)
	_, err = w.Write([]byte(content))
	must(t, err)
	must(t, zw.Close())
	return b.Bytes()
}

func dependency() Dependency { return Dependency{ID: 998, Name: "build", Token: "dep-token", Size: 10} }

func TestDownload(t *testing.T) {
	g := newGitLab(t)
	g.archive = zipped(t, "out/a", "new")
	b := newBench(t, g.URL, nil)
	must(t, b.root.Mkdir("out", 0o755))
	must(t, b.root.WriteFile("out/a", []byte("old"), 0o644))
	must(t, b.Client.Download(t.Context(), dependency(), b.root))
	if text, err := b.root.ReadFile("out/a"); err != nil || string(text) != "new" {
		t.Errorf("%q, %v", text, err)
	}
	if r := g.requests()[0]; r.path != "/api/v4/jobs/998/artifacts" || r.query != "direct_download=true" || r.token != "dep-token" {
		t.Errorf("request %+v", r)
	}
	want := "N Downloading artifacts for build (998)...\n  Downloading artifacts from coordinator... ok        host=HOST id=998 responseStatus=200 OK\n"
	if diff := cmp.Diff(want, b.text(g)); diff != "" {
		t.Error(diff)
	}
	b.left(t)
}

func TestDownloadFromObjectStorageWithoutTheToken(t *testing.T) {
	storage := newGitLab(t)
	storage.archive = zipped(t, "a", "stored")
	g := newGitLab(t, http.RedirectHandler(storage.URL+"/object", http.StatusFound).ServeHTTP)
	b := newBench(t, g.URL, nil)
	must(t, b.Client.Download(t.Context(), dependency(), b.root))
	if r := storage.requests(); len(r) != 1 || r[0].token != "" {
		t.Errorf("requests %+v", r)
	}
}

func TestObjectStorageThatCannotBeReachedIsGoneAround(t *testing.T) {
	storage := newGitLab(t)
	storage.answers = times(1, status(403))
	g := newGitLab(t, http.RedirectHandler(storage.URL+"/object", http.StatusFound).ServeHTTP)
	g.archive = zipped(t, "a", "x")
	b := newBench(t, g.URL, nil)
	must(t, b.Client.Download(t.Context(), dependency(), b.root))
	if got := g.requests(); len(got) != 2 || got[1].query != "" {
		t.Errorf("requests %+v", got)
	}
}

func TestAnswersToADownload(t *testing.T) {
	good := zipped(t, "a", "x")
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(good)
	}
	for name, tt := range map[string]struct {
		answers  []http.HandlerFunc
		requests int
		failure  string
	}{
		"unauthorized":     {times(1, status(401)), 1, "permission denied"},
		"forbidden":        {times(1, status(403)), 1, "permission denied"},
		"not found":        {times(1, status(404)), 1, "run that job again"},
		"internal error":   {times(99, status(500)), 15, "500 Internal Server Error"},
		"for a while":      {times(12, status(503)), 13, ""},
		"no answer":        {times(9, drop), 3, "cannot be fetched"},
		"no answer once":   {times(1, drop), 2, ""},
		"cut off":          {times(1, half), 2, ""},
		"cut off for ever": {times(9, half), 3, "unexpected EOF"},
		"not an archive":   {times(9, status(200)), 1, "not a zip"},
		"endless redirect": {times(99, http.RedirectHandler("/again", http.StatusFound).ServeHTTP), 30, "10 redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGitLab(t, tt.answers...)
			g.archive = good
			b := newBench(t, g.URL, nil)
			err := b.Client.Download(t.Context(), dependency(), b.root)
			var failure *Error
			switch {
			case tt.failure == "" && err != nil:
				t.Errorf("error %v", err)
			case tt.failure != "" && (!errors.As(err, &failure) || !strings.Contains(err.Error(), tt.failure)):
				t.Errorf("error %v, want %s", err, tt.failure)
			}
			if n := len(g.requests()); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if strings.Contains(b.log.String(), "dep-token") {
				t.Errorf("log %s", b.log.String())
			}
			b.left(t)
		})
	}
}

func TestAnArchiveKnownToBeTooLargeIsNotFetched(t *testing.T) {
	g := newGitLab(t)
	b := newBench(t, g.URL, nil)
	d := dependency()
	d.Size = 2 << 30
	if err := b.Client.Download(t.Context(), d, b.root); err == nil || !strings.Contains(err.Error(), "2.0 GiB are larger than 1.0 GiB") || len(g.requests()) != 0 {
		t.Errorf("error %v", err)
	}
}
