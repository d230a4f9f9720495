package syncs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// asGitLab has a process of this binary serve as GitLab, so that its time is not
// counted as the tunnel's.
const asGitLab = "TOWLINE_BENCH_GITLAB"

func TestMain(m *testing.M) {
	if os.Getenv(asGitLab) == "" {
		os.Exit(m.Run())
	}
	s := httptest.NewServer(http.HandlerFunc(unchanging))
	fmt.Println(s.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
	s.Close()
}

// unchanging is a GitLab in which nothing happens.
func unchanging(w http.ResponseWriter, r *http.Request) {
	const etag = `W/"0123456789abcdef0123456789abcdef"`
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.Contains(r.URL.Path, "/statuses/"):
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("{}"))
	case strings.Contains(r.URL.Path, "/repository/archive"):
		packed, _ := (&world{}).Archive(r.Context(), "", "", "", "")
		_, _ = w.Write(packed)
	case !strings.Contains(r.URL.Path, "/repository/"):
		_, _ = w.Write([]byte(`{"id":42}`))
	case r.Header.Get("If-None-Match") == etag:
		w.WriteHeader(http.StatusNotModified)
	default:
		w.Header().Set("ETag", etag)
		_, _ = fmt.Fprintf(w, `{"id":%q}`, strings.Repeat("1", 40))
	}
}

// BenchmarkIdle is what following 100 entries costs in which nothing happens,
// looked at as often as by default, in hundredths of a core.
func BenchmarkIdle(b *testing.B) { benchmarkIdle(b, "acme/apps/project-%d") }

// BenchmarkIdleOfOneProject is the same where all entries follow one ref.
func BenchmarkIdleOfOneProject(b *testing.B) { benchmarkIdle(b, "acme/apps/all") }

func benchmarkIdle(b *testing.B, project string) {
	const entries, during = 100, 20 * time.Second
	k := idle(b, entries, project)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = k.Run(ctx) }()
	defer func() { cancel(); <-done }()
	settle(b, k, entries)
	for b.Loop() {
		before := spent(b)
		retry.Sleep(b.Context(), during)
		b.ReportMetric((spent(b)-before).Seconds()/during.Seconds()*100, "%core")
	}
}

// spent is the processor time of this process.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func idle(b *testing.B, entries int, project string) *Keeper {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asGitLab+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	client, err := gitlab.New(gitlab.Config{URL: strings.TrimSpace(url), Token: func() string { return "glrt-x" }, Version: "0", Name: "bench", HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}})
	if err != nil {
		b.Fatal(err)
	}
	rdb, err := ledger.Open(redistest.New(b).URL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = rdb.Close() })
	box, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		b.Fatal(err)
	}
	var all agentconfig.GitOps
	for i := range entries {
		m := shop
		m.Name, m.Project = fmt.Sprintf("entry-%d", i), project
		if strings.Contains(project, "%d") {
			m.Project = fmt.Sprintf(project, i)
		}
		all.Manifests = append(all.Manifests, m)
	}
	return New(Config{
		GitLab: client, Policy: &world{}, Ledger: ledger.New(rdb, redistest.Prefix(b)), Seal: box,
		Token:   func(string) (string, string, error) { return "token", "a setting", nil },
		Entries: func() (agentconfig.GitOps, *policyapi.Configuration) { return all, nil },
		Tunnel:  "t1", Agent: "prod", Every: 3 * time.Second, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()),
	})
}

// settle plays the runner for each entry once.
func settle(b *testing.B, k *Keeper, entries int) {
	b.Helper()
	for range entries {
		name, err := k.Ledger.NextSync(b.Context(), time.Minute)
		if err != nil {
			b.Fatal(err)
		}
		serial, _, err := k.Ledger.ClaimSync(b.Context(), name, "runner", time.Minute)
		if err != nil {
			b.Fatal(err)
		}
		text := fmt.Sprintf(`{"schema":%d,"state":"success","commit":%q,"entry":%q}`, syncspec.Schema, strings.Repeat("1", 40), name)
		sealed, err := ledger.SealSyncResult(k.Seal, name, serial, []byte(text))
		if err == nil {
			err = k.Ledger.FinishSync(b.Context(), name, "runner", serial, sealed)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
