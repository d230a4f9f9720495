package router

import "time"

// When the router counts as broken, and for how long.
const (
	breakerFailures = 3
	breakerSpan     = 5 * time.Second  // that the failures last at least
	breakerOpen     = 30 * time.Second // then one trial
)

// breaker keeps calls from a router that is broken: several failures in a row,
// over some time, open it. It is not safe for concurrent use.
type breaker struct {
	failures int
	first    time.Time
	until    time.Time
}

// open says whether the router is to be left alone now.
func (b *breaker) open() bool { return time.Now().Before(b.until) }

// good notes a call that reached the router.
func (b *breaker) good() { *b = breaker{} }

// bad notes a call that did not, and says whether that opened the breaker. After
// a break one failure is enough.
func (b *breaker) bad() (opened bool) {
	now := time.Now()
	if b.failures == 0 {
		b.first = now
	}
	b.failures++
	if b.failures < breakerFailures || now.Sub(b.first) < breakerSpan {
		return false
	}
	b.until = now.Add(breakerOpen)
	return true
}
