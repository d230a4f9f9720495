package signature

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// namespace is what Git signs for, so that a signature of something else does
// not count.
const namespace = "git"

// Signers are the keys that count.
type Signers struct {
	ssh []sshKey
	pgp openpgp.EntityList
}

type sshKey struct {
	key  ssh.PublicKey
	name string
}

// Parse reads public keys: lines as in authorized_keys, and armored blocks of
// OpenPGP. An error names the one that is none.
func Parse(list []string) (*Signers, error) {
	s := &Signers{}
	for i, text := range list {
		if strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN PGP") {
			keys, err := openpgp.ReadArmoredKeyRing(strings.NewReader(text))
			if err != nil || len(keys) == 0 {
				return nil, fmt.Errorf("verify.signers[%d] is no public key of OpenPGP that can be read; export it with gpg --armor --export", i)
			}
			s.pgp = append(s.pgp, keys...)
			continue
		}
		key, comment, _, rest, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil || len(bytes.TrimSpace(rest)) > 0 {
			return nil, fmt.Errorf("verify.signers[%d] is no public key of SSH; write it as in the file id_ed25519.pub", i)
		}
		name := ssh.FingerprintSHA256(key)
		if comment != "" {
			name = comment + " (" + name + ")"
		}
		s.ssh = append(s.ssh, sshKey{key, name})
	}
	if len(s.ssh)+len(s.pgp) == 0 {
		return nil, errors.New("verify.signers is empty")
	}
	return s, nil
}

// Errors of Verify, for people.
var (
	ErrUnsigned = errors.New("it is not signed; sign it with git commit -S")
	errStranger = errors.New("its signature is of nobody in verify.signers")
	errBad      = errors.New("its signature is wrong or malformed")
)

// Verify says who has signed a payload.
func (s *Signers) Verify(payload []byte, armored string) (who string, err error) {
	switch {
	case armored == "":
		return "", ErrUnsigned
	case strings.HasPrefix(armored, "-----BEGIN SSH SIGNATURE-----"):
		return s.verifySSH(payload, armored)
	case strings.HasPrefix(armored, "-----BEGIN PGP SIGNATURE-----"):
		return s.verifyPGP(payload, armored)
	}
	return "", errors.New("its signature is neither SSH's nor OpenPGP's; others are not supported")
}

func (s *Signers) verifySSH(payload []byte, armored string) (string, error) {
	sig, err := sshsig.Unarmor([]byte(armored))
	if err != nil {
		return "", errBad
	}
	for _, k := range s.ssh {
		if !bytes.Equal(k.key.Marshal(), sig.PublicKey.Marshal()) {
			continue
		}
		if sig.Signature.Format == ssh.KeyAlgoRSA { // signed by way of SHA-1
			return "", errBad
		}
		if err := sshsig.Verify(bytes.NewReader(payload), sig, k.key, sig.HashAlgorithm, namespace); err != nil {
			return "", errBad
		}
		return k.name, nil
	}
	return "", fmt.Errorf("%w; it names the key %s", errStranger, ssh.FingerprintSHA256(sig.PublicKey))
}

func (s *Signers) verifyPGP(payload []byte, armored string) (string, error) {
	signer, err := openpgp.CheckArmoredDetachedSignature(s.pgp, bytes.NewReader(payload), strings.NewReader(armored), nil)
	if err == nil && signer != nil {
		return pgpName(signer), nil
	}
	if signer != nil {
		return "", fmt.Errorf("its signature by %s does not count: %w", pgpName(signer), err)
	}
	return "", fmt.Errorf("%w, or wrong", errStranger)
}

func pgpName(e *openpgp.Entity) string {
	name := fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)
	if id := e.PrimaryIdentity(); id != nil {
		name = id.Name + " (" + name + ")"
	}
	return name
}
