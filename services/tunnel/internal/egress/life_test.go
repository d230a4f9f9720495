package egress

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/pkg/grant"
)

// list is a Revocations that changes, and may be unreadable.
type list struct{ void, ill atomic.Bool }

func (l *list) Revoked(context.Context, string) (bool, error) {
	if l.ill.Load() {
		return false, errors.New("redis does not answer")
	}
	return l.void.Load(), nil
}

func lasting(d time.Duration) *grant.Claims {
	return &grant.Claims{RegisteredClaims: jwt.RegisteredClaims{ID: "jti-1", ExpiresAt: jwt.NewNumericDate(time.Now().Add(d))}}
}

func TestAConnectionEndsSoonAfterItsGrantIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revocations := &list{}
		p := &Proxy{Revocations: revocations, Log: slog.New(slog.DiscardHandler)}
		ctx, stop := p.follow(t.Context(), lasting(time.Hour))
		defer stop()
		revocations.ill.Store(true)
		time.Sleep(5 * time.Minute)
		if ctx.Err() != nil {
			t.Fatal("it ended while revocations could not be read")
		}
		revocations.ill.Store(false)
		revocations.void.Store(true)
		time.Sleep(followInterval + time.Millisecond)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("it goes on")
		}
	})
}

func TestAConnectionEndsWithItsGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Proxy{Revocations: &list{}, Log: slog.New(slog.DiscardHandler)}
		ctx, stop := p.follow(t.Context(), lasting(time.Hour))
		defer stop()
		time.Sleep(time.Hour + grant.Skew - time.Second)
		if ctx.Err() != nil {
			t.Error("it ended early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("it outlives the grant")
		}
	})
}

// TestOpenTunnelsAreCut: neither side has anything to say, and both learn of the
// end at once.
func TestOpenTunnelsAreCut(t *testing.T) {
	y := newYard(t, gitlabHost, "plain.example.com:80")
	ended := make(chan error, 1)
	y.listen(gitlabHost, func(c *net.TCPConn) {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		_, err := io.ReadAll(c)
		ended <- err
	})
	y.serve("plain.example.com:80", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	soon := sign(t, signer(t, "a"), func(c *grant.Claims) {
		c.IssuedAt = jwt.NewNumericDate(time.Now().Add(-time.Hour))
		c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(5*time.Second - grant.Skew)) // within the skew
	})
	tunnel, plain := y.conn(), y.conn()
	if resp := tunnel.send(soon, http.MethodConnect, gitlabHost); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	resp := plain.send(soon, http.MethodGet, "http://plain.example.com/")
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if _, err := tunnel.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client's side: %v", err)
	}
	if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the target's side goes on")
	}
	if _, err := io.ReadAll(resp.Body); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a plain request: %v", err)
	}
}
