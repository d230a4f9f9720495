package grant

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// FetchInterval is the least time from one fetch of the JWKS that succeeds to
	// the next.
	FetchInterval = 5 * time.Second
	// RefetchAfter is the least time from the end of a fetch that failed to the
	// next: policy may just be starting.
	RefetchAfter = 500 * time.Millisecond
	// FreshFor is how long fetched keys are used before they are asked for
	// again, so that a withdrawn key stops working.
	FreshFor = 5 * time.Minute
	// FetchTimeout bounds one fetch.
	FetchTimeout = 5 * time.Second
)

// RemoteKeys are the keys that policy publishes. They are fetched when first
// needed, when a token names an unknown key and when they are no longer fresh,
// by one request at a time and not more often than FetchInterval, or RefetchAfter
// once one has failed. While policy is away the last good keys stay in use.
type RemoteKeys struct {
	url    string
	client *http.Client

	mu      sync.Mutex
	keys    StaticKeys
	err     error     // of the last fetch
	next    time.Time // when the next fetch may begin
	fetched time.Time // when keys arrived
	flight  chan struct{}
}

// NewRemoteKeys fetches from url, policy's /v1/jwks, with client; nil means a
// default one. Nothing is fetched yet.
func NewRemoteKeys(url string, client *http.Client) *RemoteKeys {
	if client == nil {
		client = &http.Client{Timeout: FetchTimeout}
	}
	return &RemoteKeys{url: url, client: client}
}

// Key implements Keys.
func (r *RemoteKeys) Key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	r.mu.Lock()
	key, known := r.keys[kid]
	fresh, away := time.Since(r.fetched) < FreshFor, r.err != nil
	r.mu.Unlock()
	if known && fresh {
		return key, nil
	}
	flight := r.refresh(ctx)
	if known && away {
		return key, nil // policy did not answer a moment ago: do not wait for it
	}
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if key, known = r.keys[kid]; known {
		return key, nil
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, r.err)
	}
	return nil, ErrUnknownKey
}

// Err is why the last fetch failed, nil when it did not or there was none.
func (r *RemoteKeys) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// refresh starts to fetch the keys and returns what is closed when that is
// done. A fetch that is under way is joined; nil means that the last one was too
// short a time ago.
func (r *RemoteKeys) refresh(ctx context.Context) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight
	}
	if time.Now().Before(r.next) {
		return nil
	}
	r.flight = make(chan struct{})
	// The fetch serves all who wait, so it outlives the one who began it.
	go r.run(context.WithoutCancel(ctx), r.flight)
	return r.flight
}

func (r *RemoteKeys) run(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, FetchTimeout)
	defer cancel()
	began := time.Now()
	keys, err := r.fetch(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.next = err, time.Now().Add(RefetchAfter)
	if err == nil {
		r.keys, r.fetched, r.next = keys, time.Now(), began.Add(FetchInterval)
	}
	r.flight = nil
	close(done)
}

func (r *RemoteKeys) fetch(ctx context.Context) (StaticKeys, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("jwks: %s answered %s", r.url, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, MaxJWKS+1))
	if err != nil {
		return nil, errors.New("jwks: the answer broke off")
	}
	return ParseJWKS(b)
}
