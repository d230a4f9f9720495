package gitlab

import (
	"net/http"
	"testing"
)

func FuzzTraceHeaders(f *testing.F) {
	for _, s := range []string{"0-1420", "", "-", "0--1", "0-9223372036854775808", "bytes 0-5", "1/2", "3600", "-3"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, size, every string) {
		h := http.Header{"Range": {size}, "X-Gitlab-Trace-Update-Interval": {every}, "Retry-After": {every}, "Ratelimit-Resettime": {every}}
		if n := storedSize(h); n < 0 {
			t.Errorf("Range %q is %d", size, n)
		}
		if d := interval(h); d < 0 || d > maxInterval {
			t.Errorf("interval %q is %s", every, d)
		}
		if d := retryAfter(h); d < 0 {
			t.Errorf("Retry-After %q is %s", every, d)
		}
	})
}
