package sops

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// keySuffix is how names of keys in a Secret end; Flux reads the same ones.
const keySuffix = ".agekey"

// Keys are private age keys.
type Keys []age.Identity

// ParseKeys reads the data of a Secret: every key whose name ends in .agekey, as
// age-keygen writes them. An error shows nothing of a key.
func ParseKeys(data map[string][]byte) (Keys, error) {
	var keys Keys
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if !strings.HasSuffix(name, keySuffix) {
			continue
		}
		found, err := age.ParseIdentities(strings.NewReader(string(data[name])))
		if err != nil {
			return nil, fmt.Errorf("%s holds no age key (AGE-SECRET-KEY-1...)", name)
		}
		keys = append(keys, found...)
	}
	if len(keys) == 0 {
		return nil, errors.New("no key of it ends in " + keySuffix)
	}
	return keys, nil
}

// dataKeySize is that of AES-256, in bytes.
const dataKeySize = 32

// errNoKey means that a file is encrypted for others.
var errNoKey = errors.New("none of the age keys is for it")

// dataKey decrypts the key that the file's values are encrypted with.
func (k Keys) dataKey(recipients []recipient) ([]byte, error) {
	for _, r := range recipients {
		text, err := age.Decrypt(armor.NewReader(strings.NewReader(r.Enc)), k...)
		if err != nil {
			continue
		}
		key, err := io.ReadAll(io.LimitReader(text, dataKeySize+1))
		if err == nil && len(key) == dataKeySize {
			return key, nil
		}
	}
	return nil, errNoKey
}
