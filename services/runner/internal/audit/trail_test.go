package audit

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
)

// shelf is a destination that can be away.
type shelf struct {
	mu   sync.Mutex
	away bool
	got  []int64 // job ids in the order of arrival
}

func (s *shelf) Send(_ context.Context, records []json.RawMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errors.New("away")
	}
	for _, r := range records {
		var rec gate.Record
		if err := json.Unmarshal(r, &rec); err != nil {
			return err
		}
		s.got = append(s.got, rec.JobID)
	}
	return nil
}

func (s *shelf) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func TestRecordsWaitForADestinationAndTheRestIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m, good, bad := NewMetrics(prometheus.NewRegistry()), &shelf{}, &shelf{away: true}
		trail := New(slog.New(slog.NewTextHandler(&log, nil)))
		trail.To("good", good, m)
		trail.To("bad", bad, m)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- trail.Run(ctx) }()
		const records = MaxQueue + MaxBatch + 500
		for i := range int64(records) {
			trail.Record(gate.Record{JobID: i})
			if i%MaxBatch == 0 {
				synctest.Wait() // the good one keeps up
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(good.got) != records {
			t.Errorf("the good destination has %d records: the bad one is in its way", len(good.got))
		}
		dropped := int(testutil.ToFloat64(m.dropped.WithLabelValues("bad")))
		if dropped < 500 || dropped > 500+MaxBatch || testutil.ToFloat64(m.dropped.WithLabelValues("good")) != 0 {
			t.Errorf("%d dropped", dropped)
		}
		if !strings.Contains(log.String(), "audit records dropped") || !strings.Contains(log.String(), "destination=bad") || strings.Contains(log.String(), "destination=good") {
			t.Errorf("log: %s", &log)
		}
		bad.set(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(bad.got) != records-dropped || bad.got[0] != 0 {
			t.Errorf("the bad one got %d in the end, %d were dropped", len(bad.got), dropped)
		}
		bad.set(true)
		trail.Record(gate.Record{JobID: 1})
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := int(testutil.ToFloat64(m.dropped.WithLabelValues("bad"))); got != dropped+1 {
			t.Errorf("%d dropped after the end, want one more", got-dropped)
		}
	})
}

func TestWhatWaitsAtTheEndIsSent(t *testing.T) {
	s := &shelf{}
	trail := New(slog.New(slog.DiscardHandler))
	trail.To("s", s, NewMetrics(prometheus.NewRegistry()))
	for i := range int64(3 * MaxBatch) {
		trail.Record(gate.Record{JobID: i})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := trail.Run(ctx); err != nil || len(s.got) != 3*MaxBatch {
		t.Errorf("%d, %v", len(s.got), err)
	}
}

func TestTheStreamInRedis(t *testing.T) {
	l := ledger.New(redistest.New(t).Client(), redistest.Prefix(t))
	trail := New(slog.New(slog.DiscardHandler))
	trail.To("stream", Stream{l}, NewMetrics(prometheus.NewRegistry()))
	trail.Record(gate.Record{JobID: 7, User: "gitlab:ci_job:7", Verb: "delete", Resource: "pods", Namespace: "a", Name: "p", Code: 200})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = trail.Run(ctx)
	got, err := l.Audit(t.Context(), 10)
	if err != nil || len(got) != 1 {
		t.Fatalf("%s, %v", got, err)
	}
	want := `{"time":"0001-01-01T00:00:00Z","job_id":7,"project":"","agent":"","grant":"","mode":"","user":"gitlab:ci_job:7","verb":"delete","group":"","resource":"pods","subresource":"","namespace":"a","name":"p","path":"","code":200,"took_ms":0}`
	if string(got[0]) != want {
		t.Errorf("record = %s", got[0])
	}
}

func TestTheWebhook(t *testing.T) {
	var body, authorization string
	status := http.StatusNoContent
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body, authorization = string(b), r.Header.Get("Authorization")
		if status == http.StatusFound {
			w.Header().Set("Location", "http://192.0.2.1/")
		}
		w.WriteHeader(status)
	}))
	defer srv.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := NewWebhook(strings.Replace(srv.URL, "http://", "http://u:hush@", 1)+"/audit", token, "")
	if err != nil {
		t.Fatal(err)
	}
	records := []json.RawMessage{[]byte(`{"job_id":1}`), []byte(`{"job_id":2}`)}
	if err := w.Send(t.Context(), records); err != nil || body != `{"records":[{"job_id":1},{"job_id":2}]}` || authorization != "Bearer s3cret" {
		t.Errorf("%v, %s, %s", err, body, authorization)
	}
	for _, status = range []int{http.StatusFound, http.StatusForbidden, http.StatusInternalServerError} {
		if err := w.Send(t.Context(), records); err == nil || !strings.Contains(err.Error(), http.StatusText(status)) {
			t.Errorf("%d: %v", status, err)
		}
	}
	srv.Close()
	if err := w.Send(t.Context(), records); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("error %v", err)
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if err := w.Send(t.Context(), records); err == nil || !strings.Contains(err.Error(), "--audit-webhook-token-file") {
		t.Errorf("error %v", err)
	}
	for _, address := range []string{"", "hush", "ftp://hush/", "http://", "http://h:ush:x/"} {
		if _, err := NewWebhook(address, "", ""); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestTheWebhookTrustsAFileBesideTheSystem(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that does not trust it hangs up
	srv.StartTLS()
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, trusted := range map[string]bool{ca: true, "": false} {
		w, err := NewWebhook(srv.URL, "", file)
		if err != nil {
			t.Fatal(err)
		}
		var unknown x509.UnknownAuthorityError
		if err := w.Send(t.Context(), nil); trusted && err != nil || !trusted && !errors.As(err, &unknown) {
			t.Errorf("with %q: %v, trusted: %t", file, err, trusted)
		}
	}
	if _, err := NewWebhook(srv.URL, "", "/does/not/exist"); err == nil || !strings.Contains(err.Error(), "--audit-webhook-ca-file: ") {
		t.Errorf("a file that is not there: %v", err)
	}
}
