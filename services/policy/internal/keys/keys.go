package keys

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"

	"github.com/towline/towline/pkg/filewatch"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/succession"
)

// Keys are the signing keys. It is safe for concurrent use.
type Keys struct {
	// Generated says that the key exists in this process only.
	Generated bool

	path string
	log  *slog.Logger

	mu   sync.Mutex
	seen [sha256.Size]byte // digest of the files as they were last read
	line succession.Line[*grant.Signer]
	jwks []byte
}

// Load reads Ed25519 keys in PKCS#8 PEM (RFC 8410), as openssl genpkey
// -algorithm ed25519 writes them, from a file or from the files of a directory.
// In a file the newest comes first; of several files the one whose name sorts
// last is the newest. An empty path generates a key that dies with the process.
func Load(path string, log *slog.Logger) (*Keys, error) {
	k := &Keys{path: path, log: log, Generated: path == ""}
	if k.Generated {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate signing key: %w", err)
		}
		return k, k.use([]ed25519.PrivateKey{key})
	}
	found, seen, err := read(path)
	if err == nil {
		err = k.use(found)
	}
	if err != nil {
		return nil, fmt.Errorf("--signing-key-file=%s: %w", path, err)
	}
	k.seen = seen
	return k, nil
}

// Run follows the files until ctx ends. Where they cannot be used, the keys that
// were read last stay in force.
func (k *Keys) Run(ctx context.Context) error {
	return filewatch.Run(ctx, k.Check)
}

// Check reads the files now.
func (k *Keys) Check() {
	if k.Generated {
		return
	}
	found, seen, err := read(k.path)
	k.mu.Lock()
	known := seen == k.seen
	k.seen = seen
	k.mu.Unlock()
	if known {
		return
	}
	if err == nil {
		err = k.use(found)
	}
	if err != nil {
		k.log.Error("signing keys not changed: the files cannot be used", "path", k.path, service.Err(err))
		return
	}
	k.log.Info("signing keys changed", "kid", k.KeyID(), "keys", len(found))
}

// use takes the keys, the newest first. One that is new signs when every replica
// of policy publishes it.
func (k *Keys) use(found []ed25519.PrivateKey) error {
	signers := make([]*grant.Signer, len(found))
	public := make([]ed25519.PublicKey, len(found))
	for i, key := range found {
		s, err := grant.NewSigner(key)
		if err != nil {
			return err
		}
		signers[i], public[i] = s, s.Public()
	}
	set, err := grant.MarshalJWKS(public...)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.line.Put(signers, func(s, other *grant.Signer) bool { return s.KeyID() == other.KeyID() })
	k.jwks = set
	return nil
}

// Sign signs a grant.
func (k *Keys) Sign(c grant.Claims) (string, error) {
	k.mu.Lock()
	s := k.line.InUse()
	k.mu.Unlock()
	return s.Sign(c)
}

// KeyID is the id of the key that signs now.
func (k *Keys) KeyID() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.line.InUse().KeyID()
}

// JWKS is what policy publishes: the public halves of all keys.
func (k *Keys) JWKS() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.jwks
}
