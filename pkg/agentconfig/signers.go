package agentconfig

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
)

const signerRemedy = "write a public key of SSH as in id_ed25519.pub (ssh-ed25519 AAAA... name), or the output of gpg --armor --export"

// checkSigner looks at the form of a public key. Whoever verifies with it reads
// it, and refuses every commit if it is none.
func checkSigner(v string) (problem, remedy string) {
	const begin, end = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
	text := strings.TrimSpace(v)
	switch {
	case strings.Contains(text, "PRIVATE KEY"):
		return "a private key", "it is known to others now: replace it, and write the public one here"
	case strings.HasPrefix(text, begin) && strings.HasSuffix(text, end) && strings.Count(text, begin) == 1:
		return "", ""
	case !strings.Contains(text, "\n") && isSSHKey(strings.Fields(text)):
		return "", ""
	}
	return "not a public key", signerRemedy
}

// isSSHKey says whether the second field holds a key of the kind that the first
// one names.
func isSSHKey(fields []string) bool {
	const count = 4 // bytes that say how long the name is
	if len(fields) < 2 {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil || len(b) < count {
		return false
	}
	n := binary.BigEndian.Uint32(b)
	return uint64(n) <= uint64(len(b)-count) && string(b[count:count+n]) == fields[0]
}
