package gitobject

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/pjbgf/sha1cd"
)

// ID names an object: SHA-1 or SHA-256 in hexadecimal.
type ID string

// sizes of digests, in bytes.
const (
	sizeSHA1   = 20
	sizeSHA256 = 32
)

// size is that of the id's digest in bytes, 0 for what is none.
func (id ID) size() int {
	b, err := hex.DecodeString(string(id))
	if err != nil || len(b) != sizeSHA1 && len(b) != sizeSHA256 {
		return 0
	}
	return len(b)
}

// digest is what makes ids of a size. The one of SHA-1 gives another sum for
// content that was made to collide.
func digest(size int) hash.Hash {
	if size == sizeSHA256 {
		return sha256.New()
	}
	return sha1cd.New()
}

func name(kind string, content []byte, size int) ID {
	h := digest(size)
	h.Write([]byte(kind + " " + strconv.Itoa(len(content)) + "\x00"))
	h.Write(content)
	return ID(hex.EncodeToString(h.Sum(nil)))
}

// OfFile is the id that a file has in the repository of a commit.
func OfFile(content []byte, commit ID) ID { return name("blob", content, commit.size()) }
