package sops

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"regexp"
	"strconv"
	"time"
)

// encrypted is how a value stands in a file.
var encrypted = regexp.MustCompile(`^ENC\[AES256_GCM,data:([A-Za-z0-9+/=]+),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z]+)\]$`)

var (
	errNotEncrypted = errors.New("it is not encrypted, although its key says that it should be; encrypt the file with sops again")
	errValue        = errors.New("it cannot be decrypted: the value has been changed, or moved under another key; encrypt the file with sops again")
)

const maxNonce = 64 // bytes; SOPS has 32

// open decrypts one value. place is its path of keys, which it is bound to. An
// error shows nothing of it.
func open(key []byte, text, place string) (plain, kind string, err error) {
	m := encrypted.FindStringSubmatch(text)
	if m == nil {
		return "", "", errNotEncrypted
	}
	var parts [3][]byte
	for i := range parts {
		if parts[i], err = base64.StdEncoding.DecodeString(m[i+1]); err != nil {
			return "", "", errValue
		}
	}
	data, nonce, tag := parts[0], parts[1], parts[2]
	block, err := aes.NewCipher(key)
	if err != nil || len(nonce) == 0 || len(nonce) > maxNonce || len(tag) != aes.BlockSize {
		return "", "", errValue
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(nonce))
	if err != nil {
		return "", "", errValue
	}
	out, err := gcm.Open(nil, nonce, append(data, tag...), []byte(place))
	if err != nil {
		return "", "", errValue
	}
	return string(out), m[4], nil
}

// known turns a decrypted text into the value it was.
func known(text, kind string) (v any, err error) {
	switch kind {
	case "str", "bytes":
		return text, nil
	case "int":
		v, err = strconv.Atoi(text)
	case "float":
		v, err = strconv.ParseFloat(text, 64)
	case "bool":
		v, err = strconv.ParseBool(text)
	case "time":
		v, err = time.Parse(time.RFC3339, text)
	default:
		err = errValue
	}
	if err != nil {
		return nil, errValue
	}
	return v, nil
}

// authenticated is how a value counts in the message authentication code.
func authenticated(v any) ([]byte, bool) {
	switch v := v.(type) {
	case string:
		return []byte(v), true
	case int:
		return []byte(strconv.Itoa(v)), true
	case float64:
		return []byte(strconv.FormatFloat(v, 'f', -1, 64)), true
	case bool:
		if v {
			return []byte("True"), true
		}
		return []byte("False"), true
	case time.Time:
		text, err := v.MarshalText()
		return text, err == nil
	}
	return nil, false
}
