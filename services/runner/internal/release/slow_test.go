package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/pace"
	"github.com/towline/towline/pkg/pace/pacetest"
)

// behaviour is how a server sends one of its answers.
type behaviour struct {
	send  func(text []byte) http.HandlerFunc
	want  string        // of the error; "" is success
	takes time.Duration // to the minute, if it succeeds
}

func trickling(each int) func(text []byte) http.HandlerFunc {
	return func(text []byte) http.HandlerFunc { return pacetest.Trickle(text, each) }
}

// behaviours of a server for an answer of about 300 KB.
var behaviours = map[string]behaviour{
	"merely slow": {trickling(4 << 10), "", time.Minute},
	"too slow":    {trickling(5 << 9), "the repository takes longer than 2m0s", 2 * time.Minute},
	"trickling":   {trickling(100), "it comes too slowly: ", 30 * time.Second},
	"stalled":     {func(text []byte) http.HandlerFunc { return pacetest.Stall(text[:200_000]) }, "it comes too slowly: 0 bytes in 30s", time.Minute},
	"silent":      {func([]byte) http.HandlerFunc { return pacetest.Silent }, "it comes too slowly: no answer in 30s", 30 * time.Second},
}

const slowAnswer = 310_000

// noise is what cannot be packed small.
func noise(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(hexSum(fmt.Append(nil, i)))
	}
	return b.String()[:n]
}

// slowly fetches chart web from a server that sends what matches name as the
// behaviour says, and everything else at once.
func slowly(t *testing.T, files map[string][]byte, name string, how behaviour, where Repository) {
	t.Helper()
	cache := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		transport, stop := pacetest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, ok := files[r.URL.Path]
			switch {
			case !ok:
				http.NotFound(w, r)
				return
			case strings.Contains(r.URL.Path, "/manifests/"):
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				w.Header().Set("Docker-Content-Digest", "sha256:"+hexSum(text))
			}
			if ok, _ := path.Match(name, r.URL.Path); ok {
				how.send(text)(w, r)
				return
			}
			_, _ = w.Write(text)
		}))
		defer stop()
		e := newEngine(t)
		e.options.Cache, e.dial = cache, transport.DialContext
		begun := time.Now()
		got, err := e.version(t, where)
		if took := time.Since(begun); took != how.takes && (how.want != "" || took.Truncate(time.Minute) != how.takes) {
			t.Errorf("took %s, want %s", took, how.takes)
		}
		if how.want == "" && (err != nil || got != "1.2.3") || how.want != "" && (err == nil || !strings.Contains(err.Error(), how.want)) {
			t.Errorf("%q, %v, want %q", got, err, how.want)
		}
	})
}

// How the fetching went is told, and patience ends it.
func TestHowFetchingWent(t *testing.T) {
	chart := pack(t, map[string]string{"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\n"})
	files := map[string][]byte{"/index.yaml": index(map[string][]byte{"1.2.3": chart}), "/web-1.2.3.tgz": chart}
	send := func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(files[r.URL.Path]) }
	fail := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, tt := range map[string]struct {
		index, chart http.HandlerFunc
		patience     time.Duration
		takes        time.Duration
		answered     bool
		err          error
	}{
		"all is well":         {send, send, 5 * time.Second, 0, true, nil},
		"silent":              {pacetest.Silent, send, 0, 30 * time.Second, false, pace.ErrTooSlow},
		"trickling":           {pacetest.Trickle(make([]byte, 1<<20), 1), send, 0, 30 * time.Second, false, pace.ErrTooSlow},
		"silent, impatiently": {pacetest.Silent, send, 5 * time.Second, 5 * time.Second, false, ErrPatience},
		"a silent chart":      {send, pacetest.Silent, 0, 30 * time.Second, true, pace.ErrTooSlow},
		"steady, but slow":    {pacetest.Trickle(make([]byte, 1<<30), 4<<10), send, 0, fetchTimeout, false, pace.ErrTooSlow},
		"nobody there":        {fail(http.StatusBadGateway), send, 0, 0, false, nil},
		"not there":           {fail(http.StatusNotFound), send, 0, 0, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cache := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				transport, stop := pacetest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, ".tgz") {
						tt.chart(w, r)
						return
					}
					tt.index(w, r)
				}))
				defer stop()
				var told []Fetch
				e := newEngine(t)
				e.options = Options{Cache: cache, Patience: tt.patience, Fetched: func(f Fetch) { told = append(told, f) }}
				e.dial = transport.DialContext
				_, err := e.version(t, Repository{URL: "http://charts.example.com", Chart: "web"})
				if len(told) != 1 || told[0].Took != tt.takes || told[0].Answered != tt.answered || tt.err != nil && !errors.Is(told[0].Err, tt.err) || (told[0].Err == nil) != (err == nil) {
					t.Errorf("%+v, %v", told, err)
				}
			})
		})
	}
}

// Charts of servers that hardly answer end in a clear failure before long, and
// those of servers that are merely slow arrive.
func TestSlowServers(t *testing.T) {
	chart := pack(t, map[string]string{
		"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\n",
		"web/files/x":    noise(slowAnswer * 2 * 98 / 100), // hexadecimal packs to half
	})
	large := append(index(map[string][]byte{"1.2.3": chart}), "# "+noise(slowAnswer)...)
	config := []byte(`{"apiVersion":"v2","name":"web","version":"1.2.3"}`)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": map[string]any{"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": "sha256:" + hexSum(config), "size": len(config)},
		"layers": []any{map[string]any{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": "sha256:" + hexSum(chart), "size": len(chart)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	repository := Repository{URL: "http://charts.example.com", Chart: "web"}
	oci := Repository{URL: "oci://charts.example.com", Chart: "web", Version: "1.2.3", PlainHTTP: true}
	files := map[string][]byte{
		"/index.yaml": index(map[string][]byte{"1.2.3": chart}), "/web-1.2.3.tgz": chart, "/v2/": nil,
		"/v2/web/manifests/1.2.3": manifest, "/v2/web/manifests/sha256:" + hexSum(manifest): manifest,
		"/v2/web/blobs/sha256:" + hexSum(config): config, "/v2/web/blobs/sha256:" + hexSum(chart): chart,
	}
	for name, how := range behaviours {
		t.Run("index/"+name, func(t *testing.T) {
			of := map[string][]byte{"/index.yaml": large, "/web-1.2.3.tgz": chart}
			slowly(t, of, "/index.yaml", how, repository)
		})
		t.Run("chart/"+name, func(t *testing.T) { slowly(t, files, "/web-1.2.3.tgz", how, repository) })
		t.Run("blob/"+name, func(t *testing.T) { slowly(t, files, "/v2/web/blobs/sha256:"+hexSum(chart), how, oci) })
	}
}
