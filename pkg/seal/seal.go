package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/towline/towline/pkg/succession"
)

// KeySize is the length of a sealing key in bytes (AES-256).
const KeySize = 32

const (
	version   = 1
	idSize    = 8
	nonceSize = 12
	header    = 1 + idSize + nonceSize
	maxFile   = 4096
)

// What Open can answer besides a text.
var (
	// ErrTampered means that a sealed text was not made with one of our keys for
	// this purpose, or has been changed since.
	ErrTampered = errors.New("sealed text does not open: wrong key, other purpose, or tampered with")
	// ErrUnknownKey comes with ErrTampered when the text names a key that is not
	// here. One that was just put in front of the others arrives later in some
	// places than in others: the caller may try again.
	ErrUnknownKey = errors.New("it names a key that is not here")
)

// unknownKey is ErrUnknownKey, and which it is.
type unknownKey struct {
	id   [idSize]byte
	here int // keys
}

// Error implements error.
func (e *unknownKey) Error() string {
	return fmt.Sprintf("%v: it names the key %x, which is none of the %d in the file of sealing keys; if that key was taken out, or a rollback brought back an older file, "+
		"what it has sealed is lost", ErrTampered, e.id, e.here)
}

// Unwrap says what it is an instance of.
func (*unknownKey) Unwrap() []error { return []error{ErrTampered, ErrUnknownKey} }

// key is one sealing key and its id.
type key struct {
	id   [idSize]byte
	aead cipher.AEAD
}

// Box seals with one key and opens with any of its keys, so that keys rotate by
// putting a new one in front. It is safe for concurrent use.
type Box struct {
	path string // empty: the keys stay as they are

	mu   sync.Mutex
	seen [sha256.Size]byte // digest of the file as it was last read
	keys []key             // the newest first
	line succession.Line[key]
}

// New makes a Box of one or more keys of KeySize bytes, the newest first.
func New(keys ...[]byte) (*Box, error) {
	made, err := newKeys(keys)
	if err != nil {
		return nil, err
	}
	b := &Box{}
	b.use(made)
	return b, nil
}

func newKeys(keys [][]byte) ([]key, error) {
	if len(keys) == 0 {
		return nil, errors.New("no sealing key")
	}
	made := make([]key, len(keys))
	for i, k := range keys {
		if len(k) != KeySize {
			return nil, fmt.Errorf("a sealing key has %d bytes; want %d", len(k), KeySize)
		}
		block, err := aes.NewCipher(k)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte("towline seal key id\x00"), k...))
		made[i].id = [idSize]byte(sum[:idSize])
		if made[i].aead, err = cipher.NewGCM(block); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// Load reads a key file: one base64 key per line, the newest first; lines that
// start with # are comments. Run follows it.
func Load(path string) (*Box, error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, err
	}
	made, err := parse(path, raw)
	if err != nil {
		return nil, err
	}
	b := &Box{path: path, seen: sha256.Sum256(raw)}
	b.use(made)
	return b, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("sealing key file %s is over %d bytes", path, maxFile)
	}
	return raw, nil
}

// parse reads the keys of a file. No error quotes one.
func parse(path string, raw []byte) ([]key, error) {
	var keys [][]byte
	for n, line := range strings.Split(string(raw), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(k) != KeySize {
			return nil, fmt.Errorf("%s:%d: want %d bytes in base64 (make one with: openssl rand -base64 %d)", path, n+1, KeySize, KeySize)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no key (make one with: openssl rand -base64 %d)", path, KeySize)
	}
	return newKeys(keys)
}

// Seal encrypts plain for one purpose, for example "job:1001". The same purpose
// must be given to Open.
func (b *Box) Seal(plain []byte, purpose string) ([]byte, error) {
	b.mu.Lock()
	k := b.line.InUse()
	b.mu.Unlock()
	out := make([]byte, header, header+len(plain)+16)
	out[0] = version
	copy(out[1:], k.id[:])
	nonce := out[1+idSize : header]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return k.aead.Seal(out, nonce, plain, aad(out[:1+idSize], purpose)), nil
}

// Open decrypts what Seal made for the same purpose, or returns an error that
// wraps ErrTampered. It tells apart what names a key that is not here: that may
// be an honest text whose key was taken away, or has not arrived yet.
func (b *Box) Open(sealed []byte, purpose string) ([]byte, error) {
	if len(sealed) < header || sealed[0] != version {
		return nil, ErrTampered
	}
	b.mu.Lock()
	keys := b.keys
	b.mu.Unlock()
	for _, k := range keys {
		if [idSize]byte(sealed[1:1+idSize]) != k.id {
			continue
		}
		plain, err := k.aead.Open(nil, sealed[1+idSize:header], sealed[header:], aad(sealed[:1+idSize], purpose))
		if err != nil {
			return nil, ErrTampered
		}
		return plain, nil
	}
	return nil, &unknownKey{id: [idSize]byte(sealed[1 : 1+idSize]), here: len(keys)}
}

func aad(head []byte, purpose string) []byte {
	return append(append([]byte{}, head...), purpose...)
}
