package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/towline/towline/pkg/grant"
)

// maxKeyFile bounds a key file; an Ed25519 key takes 119 bytes.
const maxKeyFile = 16 << 10

// errWanted says how to make a key that can be read.
var errWanted = errors.New("want Ed25519 private keys in PKCS#8 PEM, the newest first; make one with: openssl genpkey -algorithm ed25519")

// read returns the keys of a file or directory, the newest first, and what tells
// this state of them from another. No error quotes a file.
func read(path string) ([]ed25519.PrivateKey, [sha256.Size]byte, error) {
	h := sha256.New()
	found, err := readAll(path, h)
	if err != nil {
		fmt.Fprintf(h, "%v", err)
	}
	return found, [sha256.Size]byte(h.Sum(nil)), err
}

func readAll(path string, h io.Writer) ([]ed25519.PrivateKey, error) {
	names, err := files(path)
	if err != nil {
		return nil, err
	}
	var found []ed25519.PrivateKey
	for _, name := range names {
		content, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		fmt.Fprintf(h, "%q %d\n", name, len(content))
		_, _ = h.Write(content)
		more, err := parse(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		found = append(found, more...)
	}
	switch {
	case len(found) == 0:
		return nil, errWanted
	case len(found) > grant.MaxKeys:
		return nil, fmt.Errorf("%d keys are over the limit of %d; take away those whose grants have ended", len(found), grant.MaxKeys)
	}
	return found, nil
}

// files are those to read, in the order of their keys. In a directory that is
// every file whose name does not begin with a dot, as a Secret's volume has them.
func files(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	var names []string
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := os.Stat(name); err != nil || info.IsDir() {
			continue
		}
		names = append(names, name)
	}
	if len(names) > grant.MaxKeys {
		return nil, fmt.Errorf("%d files are over the limit of %d", len(names), grant.MaxKeys)
	}
	slices.Reverse(names) // they came sorted
	return names, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, errors.New("the file cannot be read")
	case len(b) > maxKeyFile:
		return nil, fmt.Errorf("over the limit of %d bytes; %w", maxKeyFile, errWanted)
	}
	return b, nil
}

// parse reads the keys of one file.
func parse(content []byte) ([]ed25519.PrivateKey, error) {
	var out []ed25519.PrivateKey
	for rest := content; len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "PRIVATE KEY" {
			return nil, errWanted
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errWanted
		}
		key, ok := parsed.(ed25519.PrivateKey)
		if !ok {
			return nil, errWanted
		}
		out = append(out, key)
	}
	return out, nil
}
