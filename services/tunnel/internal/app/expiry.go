package app

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const (
	// tokenAskedEvery is how often GitLab is asked when the runner token ends, and
	// tokenSeenEvery how often it is looked whether it is another one by now.
	tokenAskedEvery = time.Hour
	tokenSeenEvery  = time.Minute
	// tokenWarning is how long before its end a token is warned of at the latest.
	tokenWarning = 7 * 24 * time.Hour
)

// expiry warns of a runner token that is about to end. It is replaced by whoever
// put it into its file: the tunnel cannot write there.
type expiry struct {
	health *service.Health
	when   prometheus.Gauge
	link   *service.Link // nil until there was something to say

	credential string    // the token that was noted last
	since      time.Time // when it was first
}

func newExpiry(h *service.Health, reg prometheus.Registerer) *expiry {
	e := &expiry{health: h, when: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "towline_tunnel_runner_token_expires_timestamp_seconds",
		Help: "When GitLab ends the runner token, in seconds since 1970; 0: never, or not known.",
	})}
	reg.MustRegister(e.when)
	return e
}

// note takes what GitLab says of a token. It warns once three quarters of the
// time are over that the token had left when it was seen first, and in its last
// week.
func (e *expiry) note(credential string, expires, now time.Time) {
	if credential != e.credential {
		e.credential, e.since = credential, now
	}
	if expires.IsZero() {
		e.when.Set(0)
		e.say("")
		return
	}
	e.when.Set(float64(expires.Unix()))
	const lastPart = 4
	if now.Before(expires.Add(-max(tokenWarning, expires.Sub(e.since)/lastPart))) {
		e.say("")
		return
	}
	e.say(fmt.Sprintf("it ends at %s, and no job is taken after that; create another runner with the same tags in GitLab and put its token into the place of this one", expires.UTC().Format(time.RFC3339)))
}

func (e *expiry) say(what string) {
	switch {
	case what != "":
		if e.link == nil {
			e.link = e.health.Link("runner token")
		}
		e.link.Remark(what)
	case e.link != nil:
		e.link.Up()
	}
}

// watch goes on asking until ctx ends.
func (e *expiry) watch(ctx context.Context, c *gitlab.Client) {
	asked := time.Now()
	for retry.Sleep(ctx, tokenSeenEvery) {
		if c.Credential() == e.credential && time.Since(asked) < tokenAskedEvery {
			continue
		}
		asked = time.Now()
		credential := c.Credential()
		if known, err := c.Verify(ctx); err == nil {
			e.note(credential, known.Expires, asked)
		}
	}
}
