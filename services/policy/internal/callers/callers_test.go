package callers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authentication "k8s.io/api/authentication/v1"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const tunnel = "system:serviceaccount:towline:towline-tunnel"

// cluster answers TokenReviews from a table of tokens.
type cluster struct {
	mu     sync.Mutex
	users  map[string]string
	others []string // audiences to claim instead of the one asked for
	err    error
	asked  int
}

func (c *cluster) Create(_ context.Context, r *authentication.TokenReview, _ meta.CreateOptions) (*authentication.TokenReview, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if c.err != nil {
		return nil, c.err
	}
	out := r.DeepCopy()
	if u := c.users[r.Spec.Token]; u != "" {
		out.Status = authentication.TokenReviewStatus{Authenticated: true, User: authentication.UserInfo{Username: u}, Audiences: r.Spec.Audiences}
		if c.others != nil {
			out.Status.Audiences = c.others
		}
	}
	return out, nil
}

func TestAuthenticate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &cluster{users: map[string]string{"good": tunnel, "other": "system:serviceaccount:evil:x"}}
		c := New(k, "towline-policy", []string{tunnel})
		want := func(token string, target error, asked int) {
			t.Helper()
			user, err := c.Authenticate(t.Context(), token)
			if !errors.Is(err, target) || err == nil && user != tunnel || k.asked != asked {
				t.Fatalf("%s: user %q, error %v, asked %d times, want %v and %d", token, user, err, k.asked, target, asked)
			}
		}
		want("", ErrUnauthenticated, 0)
		want(strings.Repeat("x", maxToken+1), ErrUnauthenticated, 0)
		want("good", nil, 1)
		want("good", nil, 1)
		want("bad", ErrUnauthenticated, 2)
		want("bad", ErrUnauthenticated, 2)
		want("other", ErrForbidden, 3)
		time.Sleep(RefusedFor)
		want("bad", ErrUnauthenticated, 4)
		want("good", nil, 4)
		k.err = errors.New("connection refused")
		time.Sleep(AcceptedFor)
		want("good", ErrUnavailable, 5)
		k.err = nil
		want("good", nil, 6) // a failure is not kept
		k.others = []string{"https://kubernetes.default.svc"}
		time.Sleep(AcceptedFor)
		want("good", ErrUnauthenticated, 7) // an API server that ignores audiences
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	c := New(&cluster{}, "a", nil)
	for i := range 3 * maxCached {
		_, _ = c.Authenticate(t.Context(), fmt.Sprint("token", i))
	}
	if len(c.cache) > maxCached {
		t.Errorf("%d answers are kept", len(c.cache))
	}
}

type link struct{ states []string }

func (l *link) Up()          { l.states = append(l.states, "up") }
func (l *link) Down(e error) { l.states = append(l.states, e.Error()) }

func TestWatchSaysWhatIsWrong(t *testing.T) {
	reviews := schema.GroupResource{Group: "authentication.k8s.io", Resource: "tokenreviews"}
	synctest.Test(t, func(t *testing.T) {
		k, l := &cluster{err: errors.New("dial tcp: connection refused")}, &link{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- New(k, "a", nil).Watch(ctx, l) }()
		for i, tt := range []struct {
			next error
			want string
		}{
			{kerrors.NewForbidden(reviews, "", errors.New("no")), "check the NetworkPolicy and --kubeconfig"},
			{kerrors.NewUnauthorized("no"), "system:auth-delegator"},
			{nil, "check the mounted ServiceAccount token"},
			{nil, "up"},
		} {
			synctest.Wait()
			if len(l.states) != i+1 || !strings.Contains(l.states[i], tt.want) {
				t.Fatalf("states %q, want %q", l.states, tt.want)
			}
			k.mu.Lock()
			k.err = tt.next
			k.mu.Unlock()
			time.Sleep(DownInterval)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
