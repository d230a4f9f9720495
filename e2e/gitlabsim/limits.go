package gitlabsim

import (
	"net/http"
	"time"
)

// window counts the calls of one key in the current minute (1.2).
type window struct {
	start time.Time
	calls int
}

// sensibleLimit is the lowest limit a correct client never reaches; lower ones
// are a test's own doing and reaching them is no anomaly.
const sensibleLimit = 200

// limited answers 429 with Retry-After: 60 when the key's budget is spent.
func (s *Server) limited(w http.ResponseWriter, ep Endpoint, jobID int64, key string, limit int) bool {
	if limit < 0 {
		return false
	}
	s.mu.Lock()
	now := s.now()
	win := s.st.windows[key]
	if win == nil || now.Sub(win.start) >= time.Minute {
		win = &window{start: now}
		s.st.windows[key] = win
	}
	win.calls++
	over := win.calls > limit
	if over && limit >= sensibleLimit {
		s.note(ep, jobID, "more than %d calls in a minute", limit)
	}
	s.mu.Unlock()
	if !over {
		return false
	}
	w.Header().Set("Retry-After", "60")
	writeJSON(w, http.StatusTooManyRequests, map[string]any{
		"message": map[string]string{"error": "This endpoint has been requested too many times. Try again later."},
	})
	return true
}
