package forgery

import (
	"context"
	"regexp"
	"testing"

	"github.com/towline/towline/e2e/rig"
)

// grants are signed tokens of any kind; sealed bytes do not look like one.
var grants = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}`)

// leaks looks for secrets in every command that Redis was ever sent, in all that
// it still holds, and in the logs of services.
func leaks(t *testing.T, s *site) {
	clean := func(where, text string) {
		t.Helper()
		if len(text) == 0 {
			t.Errorf("%s: nothing there to look at", where)
		}
		for _, what := range s.watch.in(text) {
			t.Errorf("%s: holds the %s", where, what)
		}
		if grants.MatchString(text) {
			t.Errorf("%s: holds a signed token", where)
		}
	}
	clean("commands to Redis", s.watch.commands())
	clean("keys in Redis", s.content(t))
	for _, svc := range []*rig.Service{s.rig.Policy, s.rig.Tunnel, s.rig.Runner} {
		clean("log of the "+svc.Name, text(t, svc))
	}
}

// content is every value in Redis.
func (s *site) content(t *testing.T) string {
	t.Helper()
	ctx, c := context.Background(), s.redis.Client()
	keys, err := c.Keys(ctx, "*").Result()
	must(t, err)
	out := ""
	for _, k := range keys {
		out += k + "\n"
		switch c.Type(ctx, k).Val() {
		case "string":
			out += c.Get(ctx, k).Val()
		case "hash":
			for field, value := range c.HGetAll(ctx, k).Val() {
				out += field + "=" + value + "\n"
			}
		case "list":
			for _, v := range c.LRange(ctx, k, 0, -1).Val() {
				out += v + "\n"
			}
		case "zset":
			for _, v := range c.ZRange(ctx, k, 0, -1).Val() {
				out += v + "\n"
			}
		}
	}
	return out
}
