package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/pkg/grant"
)

func TestAGrantIsSpentOnceAndForgottenWhenItHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		claims := func(id string, life time.Duration) *grant.Claims {
			return &grant.Claims{RegisteredClaims: jwt.RegisteredClaims{ID: id, ExpiresAt: jwt.NewNumericDate(time.Now().Add(life))}}
		}
		var s spent
		short, long := claims("short", time.Minute), claims("long", time.Hour)
		if s.has(short) || !s.add(short) || !s.add(long) || !s.has(short) {
			t.Error("a fresh grant counts as used, or a used one as fresh")
		}
		if s.add(short) {
			t.Error("a grant was spent twice")
		}
		time.Sleep(time.Minute + grant.Skew - time.Second)
		if s.add(short) {
			t.Error("a grant that may still be good was spent twice")
		}
		time.Sleep(3 * time.Second)
		s.add(claims("next", time.Hour))
		if s.has(short) || !s.has(long) || len(s.grants) != 2 {
			t.Errorf("remembered: %v", s.grants)
		}
	})
}
