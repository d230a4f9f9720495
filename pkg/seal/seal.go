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

// ErrTampered means that a sealed text was not made with one of our keys for
// this purpose, or has been changed since.
var ErrTampered = errors.New("sealed text does not open: wrong key, other purpose, or tampered with")

// Box seals with its first key and opens with any of its keys, so that keys
// rotate by putting a new one in front. It is safe for concurrent use.
type Box struct {
	ids   [][idSize]byte
	aeads []cipher.AEAD
}

// New makes a Box of one or more keys of KeySize bytes.
func New(keys ...[]byte) (*Box, error) {
	if len(keys) == 0 {
		return nil, errors.New("no sealing key")
	}
	b := &Box{}
	for _, k := range keys {
		if len(k) != KeySize {
			return nil, fmt.Errorf("a sealing key has %d bytes; want %d", len(k), KeySize)
		}
		block, err := aes.NewCipher(k)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte("towline seal key id\x00"), k...))
		b.ids = append(b.ids, [idSize]byte(sum[:idSize]))
		b.aeads = append(b.aeads, aead)
	}
	return b, nil
}

// Load reads a key file: one base64 key per line, the newest first; lines that
// start with # are comments.
func Load(path string) (*Box, error) {
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
	return New(keys...)
}

// Seal encrypts plain for one purpose, for example "job:1001". The same purpose
// must be given to Open.
func (b *Box) Seal(plain []byte, purpose string) ([]byte, error) {
	out := make([]byte, header, header+len(plain)+16)
	out[0] = version
	copy(out[1:], b.ids[0][:])
	nonce := out[1+idSize : header]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return b.aeads[0].Seal(out, nonce, plain, aad(out[:1+idSize], purpose)), nil
}

// Open decrypts what Seal made for the same purpose, or returns ErrTampered.
func (b *Box) Open(sealed []byte, purpose string) ([]byte, error) {
	if len(sealed) < header || sealed[0] != version {
		return nil, ErrTampered
	}
	for i, id := range b.ids {
		if [idSize]byte(sealed[1:1+idSize]) != id {
			continue
		}
		plain, err := b.aeads[i].Open(nil, sealed[1+idSize:header], sealed[header:], aad(sealed[:1+idSize], purpose))
		if err != nil {
			return nil, ErrTampered
		}
		return plain, nil
	}
	return nil, ErrTampered
}

func aad(head []byte, purpose string) []byte {
	return append(append([]byte{}, head...), purpose...)
}
