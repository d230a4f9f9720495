package grant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The key and thumbprint of RFC 8037, appendix A.
func TestThumbprintOfTheRFC(t *testing.T) {
	keys, err := ParseJWKS([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}]}`))
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}
}

func TestJWKSRoundTrip(t *testing.T) {
	a, b := newSigner(t, 'a'), newSigner(t, 'b')
	out, err := MarshalJWKS(a.Public(), b.Public())
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseJWKS(out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(NewStaticKeys(a.Public(), b.Public()), got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if _, err := MarshalJWKS(nil); err == nil {
		t.Error("marshals no key")
	}
}

func TestParseJWKSRefuses(t *testing.T) {
	const good = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"`
	for name, in := range map[string]string{
		"nothing":     "",
		"no keys":     `{"keys":[]}`,
		"other kinds": `{"keys":[{"kty":"RSA","n":"x","e":"AQAB"}]}`,
		"private":     `{"keys":[` + good + `,"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}]}`,
		"wrong kid":   `{"keys":[` + strings.Replace(good, "kPrK", "AAAA", 1) + `}]}`,
		"short key":   `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`,
		"many":        `{"keys":[` + strings.Repeat(good+"},", MaxKeys) + good + `}]}`,
		"large":       `{"keys":[` + good + `}]}` + strings.Repeat(" ", MaxJWKS),
		"for secrecy": `{"keys":[` + good + `,"use":"enc"}]}`,
	} {
		if got, err := ParseJWKS([]byte(in)); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, err := ParseJWKS([]byte(`{"keys":[{"kty":"EC"},` + good + `}]}`)); err != nil {
		t.Errorf("a key of another kind beside ours: %v", err)
	}
}

func FuzzJWKS(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}]}`))
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		keys, err := ParseJWKS(in)
		if (err == nil) == (len(keys) == 0) {
			t.Fatalf("%d keys with error %v", len(keys), err)
		}
		for kid, k := range keys {
			if kid != Thumbprint(k) {
				t.Fatalf("kid %q", kid)
			}
		}
	})
}

// policy is the far end of RemoteKeys, without a network: fetches can be
// counted, delayed and refused.
type policy struct {
	mu      sync.Mutex
	answer  string
	status  int
	delay   time.Duration
	fetches atomic.Int32
}

func (p *policy) set(status int, answer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.answer = status, answer
}

func (p *policy) RoundTrip(req *http.Request) (*http.Response, error) {
	p.fetches.Add(1)
	p.mu.Lock()
	status, answer, delay := p.status, p.answer, p.delay
	p.mu.Unlock()
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status), Body: io.NopCloser(strings.NewReader(answer)), Header: http.Header{}, Request: req,
	}, nil
}

func TestRemoteKeys(t *testing.T) {
	a, b := newSigner(t, 'a'), newSigner(t, 'b')
	first, _ := MarshalJWKS(a.Public())
	both, _ := MarshalJWKS(b.Public(), a.Public())
	onlyB, _ := MarshalJWKS(b.Public())
	synctest.Test(t, func(t *testing.T) {
		p := &policy{}
		r := NewRemoteKeys("https://policy/v1/jwks", &http.Client{Transport: p})
		want := func(kid string, fetches int32, target error) {
			t.Helper()
			if _, err := r.Key(t.Context(), kid); !errors.Is(err, target) {
				t.Fatalf("error %v, want %v", err, target)
			}
			synctest.Wait()
			if got := p.fetches.Load(); got != fetches {
				t.Fatalf("%d fetches, want %d", got, fetches)
			}
		}
		want(a.KeyID(), 1, ErrKeysUnavailable) // policy is away
		want(a.KeyID(), 1, ErrKeysUnavailable) // and is not asked at once again
		p.set(200, string(first))
		time.Sleep(RefetchAfter - time.Millisecond)
		want(a.KeyID(), 1, ErrKeysUnavailable)
		time.Sleep(time.Millisecond)
		want(a.KeyID(), 2, nil) // but soon
		want(a.KeyID(), 2, nil)
		want(b.KeyID(), 2, ErrUnknownKey) // fetched just now
		p.set(200, string(both))
		time.Sleep(RefetchAfter)
		want(b.KeyID(), 2, ErrUnknownKey) // an answer is not asked for again so soon
		time.Sleep(FetchInterval - RefetchAfter)
		want(b.KeyID(), 3, nil) // the keys were rotated
		want("nobody", 3, ErrUnknownKey)

		p.set(503, "")
		time.Sleep(FreshFor)
		want(a.KeyID(), 4, nil) // policy is away: the last good keys stay
		p.set(200, `{"keys":[]}`)
		time.Sleep(FetchInterval)
		want(a.KeyID(), 5, nil) // an empty set is no set
		if r.Err() == nil {
			t.Error("the failed fetch is not told")
		}
		p.set(200, string(onlyB))
		time.Sleep(FetchInterval)
		want(a.KeyID(), 6, nil) // served while policy counts as away
		want(a.KeyID(), 6, ErrUnknownKey)
	})
}

func TestRemoteKeysFetchOnceForAll(t *testing.T) {
	a := newSigner(t, 'a')
	set, _ := MarshalJWKS(a.Public())
	synctest.Test(t, func(t *testing.T) {
		p := &policy{status: 200, answer: string(set), delay: time.Second}
		r := NewRemoteKeys("https://policy/v1/jwks", &http.Client{Transport: p})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				ctx := t.Context()
				if i == 0 { // whoever gives up does not take the fetch along
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
					defer cancel()
				}
				_, err := r.Key(ctx, a.KeyID())
				if i == 0 && !errors.Is(err, ErrKeysUnavailable) || i > 0 && err != nil {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if got := p.fetches.Load(); got != 1 {
			t.Errorf("%d fetches", got)
		}
	})
}

func TestVerifySaysWhenKeysAreUnavailable(t *testing.T) {
	s := newSigner(t, 'a')
	token, err := s.Sign(sample())
	if err != nil {
		t.Fatal(err)
	}
	v := NewVerifier(NewRemoteKeys("https://policy/v1/jwks", &http.Client{Transport: &policy{}}))
	if _, err := v.Verify(t.Context(), token, AudienceGate); !errors.Is(err, ErrKeysUnavailable) || errors.Is(err, ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

func TestRemoteKeysBoundTheAnswer(t *testing.T) {
	p := &policy{status: 200, answer: strings.Repeat(" ", MaxJWKS+1)}
	r := NewRemoteKeys("https://policy/v1/jwks", &http.Client{Transport: p})
	if _, err := r.Key(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "over the limit") {
		t.Errorf("error %v", err)
	}
}
