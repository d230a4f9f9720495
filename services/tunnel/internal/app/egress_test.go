package app

import (
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/policyapi"
)

// egress is the address of the proxy, as the process logs it.
func (p *process) egress() string {
	p.t.Helper()
	for line := range strings.Lines(p.out.String()) {
		var l struct{ Msg, Egress string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "tunnel starts" {
			return l.Egress
		}
	}
	p.t.Fatal("the process has not said where its proxy listens")
	return ""
}

// jobGrant is a grant and the key set that it is good by.
func jobGrant(t *testing.T) (token string, keys []byte) {
	t.Helper()
	s, err := grant.NewSigner(ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize))))
	if err != nil {
		t.Fatal(err)
	}
	c := grant.Claims{
		Job:      grant.Job{ID: 1001},
		Identity: grant.Identity{Mode: grant.ModeCIJob, User: "gitlab:ci_job:1001"},
		Agent:    grant.Agent{Project: "acme/agents", Name: "main"}, PayloadDigest: grant.Digest(nil), ConfigRevision: "r",
	}
	c.ID, c.ExpiresAt = "jti-1", jwt.NewNumericDate(time.Now().Add(time.Hour))
	if token, err = s.Sign(c); err != nil {
		t.Fatal(err)
	}
	if keys, err = grant.MarshalJWKS(s.Public()); err != nil {
		t.Fatal(err)
	}
	return token, keys
}

// TestATransferOutlivesItsProxy: a job asks while policy's keys cannot be fetched
// and Redis is away, gets its answer, and the process is told to end amid it.
func TestATransferOutlivesItsProxy(t *testing.T) {
	t.Parallel()
	token, keys := jobGrant(t)
	var fetches atomic.Int32
	policy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != policyapi.PathJWKS {
			status(200)(w, r)
		} else if fetches.Add(1) <= 2 {
			status(http.StatusBadGateway)(w, r)
		} else {
			_, _ = w.Write(keys)
		}
	})
	rest := make(chan struct{})
	send := sync.OnceFunc(func() { close(rest) })
	target := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-rest
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	}))
	t.Cleanup(target.Close)
	t.Cleanup(send)
	redis := redistest.Private(t)
	p := start(t, serve(t, quietGitLab), policy, redis.URL, key, "--egress-hosts="+target.Listener.Addr().String())
	p.ready()
	transport := target.Client().Transport.(*http.Transport).Clone()
	transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.egress(), User: url.UserPassword("job", token)})
	transport.DisableKeepAlives = true
	if err := redis.Stop(); err != nil {
		t.Fatal(err)
	}
	p.link("redis", "does not answer")
	answers := make(chan *http.Response, 1)
	go func() {
		resp, err := (&http.Client{Transport: transport}).Get(target.URL)
		if err != nil {
			t.Errorf("refused while policy and Redis start: %v", err)
		}
		answers <- resp
	}()
	p.eventually("keys fetched", func() bool { return fetches.Load() > 2 })
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	resp := <-answers
	if resp == nil {
		t.FailNow()
	}
	defer resp.Body.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- p.stop() }()
	p.eventually("nothing new accepted", func() bool {
		c, err := net.Dial("tcp", p.egress())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	if _, up := p.report(); !up {
		t.Error("what the proxy needs has ended before it")
	}
	send()
	if b, err := io.ReadAll(resp.Body); err != nil || len(b) != 1<<20 {
		t.Errorf("%d bytes came, %v", len(b), err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
