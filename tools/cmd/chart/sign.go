package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"helm.sh/helm/v3/pkg/provenance"
)

// signature says with which key to sign.
type signature struct {
	key, keyring, passphraseFile string
}

// of signs a package as Helm does.
func (s signature) of(file string) ([]byte, error) {
	signer, err := provenance.NewFromKeyring(s.keyring, s.key)
	if err != nil {
		return nil, fmt.Errorf("--keyring=%s: %w", s.keyring, err)
	}
	if signer.Entity == nil {
		return nil, fmt.Errorf("--keyring=%s has no key with %q in its name", s.keyring, s.key)
	}
	if err := signer.DecryptKey(s.passphrase); err != nil {
		return nil, fmt.Errorf("the key %q: %w", s.key, err)
	}
	text, err := signer.ClearSign(file)
	return []byte(text), err
}

func (s signature) passphrase(string) ([]byte, error) {
	if s.passphraseFile == "" {
		return nil, errors.New("it has a passphrase: give --passphrase-file")
	}
	raw, err := os.ReadFile(s.passphraseFile)
	return bytes.TrimRight(raw, "\r\n"), err
}
