package gitlab

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLogged(t *testing.T) {
	gitlab := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	address := gitlab.URL
	ask := func(level slog.Level) map[string]any {
		var out bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))
		client := http.Client{Transport: Logged(http.DefaultTransport, log)}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/api/v4/job?token=secret", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("JOB-TOKEN", "secret")
		req.Header.Set("X-Request-Id", "7")
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
		}
		if bytes.Contains(out.Bytes(), []byte("secret")) {
			t.Errorf("a token is in the log: %s", out.String())
		}
		if out.Len() == 0 {
			return nil
		}
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		delete(line, "took_ms")
		return line
	}
	want := map[string]any{"level": "DEBUG", "msg": "request to GitLab", "method": "GET", "path": "/api/v4/job", "request_id": "7", "status": 418.0}
	if diff := cmp.Diff(want, ask(slog.LevelDebug)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if line := ask(slog.LevelInfo); line != nil {
		t.Errorf("at the level info it says %v", line)
	}
	gitlab.Close()
	if line := ask(slog.LevelDebug); line["error"] == nil || line["status"] != nil {
		t.Errorf("of a GitLab that is gone it says %v", line)
	}
}
