package worker

import (
	"errors"
	"sync"
	"time"

	"github.com/towline/towline/pkg/grant"
)

// errSpent: whoever writes to Redis can put a job that has run into the queue
// again and take back that its grant was revoked. Redis is not asked about that.
var errSpent = errors.New("the grant has been used: the job's script was started here before")

// spent remembers the grants with which a script was started in this process,
// as long as they are good. It is safe for concurrent use.
type spent struct {
	mu     sync.Mutex
	grants map[string]time.Time // their ids, until when
}

// add marks a grant as used. False means that it was used before.
func (s *spent) add(c *grant.Claims) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grants == nil {
		s.grants = map[string]time.Time{}
	}
	now := time.Now()
	for id, until := range s.grants {
		if now.After(until) {
			delete(s.grants, id)
		}
	}
	if _, used := s.grants[c.ID]; used {
		return false
	}
	s.grants[c.ID] = c.ExpiresAt.Add(grant.Skew)
	return true
}

// has says whether a grant was used.
func (s *spent) has(c *grant.Claims) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, used := s.grants[c.ID]
	return used
}
