package pace_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/pace"
	"github.com/towline/towline/pkg/pace/pacetest"
)

var slowest = pace.Pace{Bytes: 1000, Within: 30*time.Second + 500*time.Millisecond}

func TestPace(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string        // of the error
		bytes  int           // that arrive
		takes  time.Duration // until the end
	}{
		"merely slow": {pacetest.Trickle(make([]byte, 24000), 40), "", 24000, 10 * time.Minute},
		"short":       {pacetest.Trickle(make([]byte, 20), 1), "", 20, 20 * time.Second},
		"trickling":   {pacetest.Trickle(make([]byte, 18000), 30), "it comes too slowly: 930 bytes in 30.5s", 930, 30500 * time.Millisecond},
		"stalled":     {pacetest.Stall(make([]byte, 2000)), "it comes too slowly: 0 bytes in 30.5s", 2000, time.Minute + time.Second},
		"silent":      {pacetest.Silent, "it comes too slowly: no answer in 20s", 0, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport, stop := pacetest.Serve(tt.answer)
				defer stop()
				client := &http.Client{Transport: pace.Transport{Pace: slowest, Begin: 20 * time.Second, Next: transport}}
				begun := time.Now()
				n, err := get(t, client)
				if took := time.Since(begun); n != tt.bytes || took != tt.takes {
					t.Errorf("%d bytes in %s, want %d in %s", n, took, tt.bytes, tt.takes)
				}
				if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, pace.ErrTooSlow) || err.Error() != tt.want) {
					t.Errorf("%v, want %q", err, tt.want)
				}
			})
		})
	}
}

func get(t *testing.T, client *http.Client) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://charts.example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(req)
	if err != nil {
		return 0, errors.Unwrap(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return len(text), err
}
