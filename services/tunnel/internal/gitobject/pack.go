package gitobject

import (
	"bytes"
	"compress/zlib"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Limits of what is read.
const (
	maxObjects  = 400_000
	maxUnpacked = 128 << 20 // bytes of all objects together
	maxChain    = 100       // deltas on deltas
)

var errPack = errors.New("what GitLab sent is no pack of Git's")

// kinds of objects in a pack, by their numbers.
var kinds = map[byte]string{1: "commit", 2: "tree", 3: "blob", 4: "tag"}

const refDelta = 7 // an object as a change of another one, which it names

type object struct {
	kind    string
	content []byte
}

// Objects are those of a pack. They are known by their content.
type Objects struct {
	size int // of digests, in bytes
	all  map[ID]object
}

// delta waits for its base.
type delta struct {
	base ID
	text []byte
}

// Read reads a pack of the repository that a commit is in.
func Read(pack []byte, commit ID) (*Objects, error) { return read(pack, commit, maxUnpacked) }

// read unpacks most bytes at most.
func read(pack []byte, commit ID, most int) (*Objects, error) {
	size := commit.size()
	const head = 12
	if size == 0 || len(pack) < head+size || string(pack[:4]) != "PACK" || binary.BigEndian.Uint32(pack[4:8]) != 2 {
		return nil, errPack
	}
	body, sum := pack[:len(pack)-size], pack[len(pack)-size:]
	h := digest(size)
	h.Write(body)
	if subtle.ConstantTimeCompare(h.Sum(nil), sum) != 1 {
		return nil, errPack
	}
	count := binary.BigEndian.Uint32(pack[8:12])
	if count > maxObjects {
		return nil, fmt.Errorf("the repository has more than %d directories at this commit", maxObjects)
	}
	p := packReader{r: bytes.NewReader(body[head:]), most: most, left: most, out: &Objects{size: size, all: make(map[ID]object, count)}}
	for range count {
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	return p.out, p.resolve()
}

type packReader struct {
	r      *bytes.Reader
	most   int // bytes that may be unpacked
	left   int // of them
	out    *Objects
	deltas []delta
}

// next reads one object.
func (p *packReader) next() error {
	kind, size, err := p.header()
	if err != nil {
		return err
	}
	base := make([]byte, p.out.size)
	if kind == refDelta {
		if _, err := io.ReadFull(p.r, base); err != nil {
			return errPack
		}
	} else if kinds[kind] == "" {
		return errPack
	}
	text, err := p.inflate(size)
	if err != nil {
		return err
	}
	if kind == refDelta {
		p.deltas = append(p.deltas, delta{ID(hex.EncodeToString(base)), text})
		return nil
	}
	p.put(object{kinds[kind], text})
	return nil
}

func (p *packReader) put(o object) { p.out.all[name(o.kind, o.content, p.out.size)] = o }

// header is the kind and the size that an object has unpacked.
func (p *packReader) header() (kind byte, size int, err error) {
	b, err := p.r.ReadByte()
	if err != nil {
		return 0, 0, errPack
	}
	const more, kindBits, firstBits = 0x80, 4, 0x0f
	kind, size = b>>kindBits&7, int(b&firstBits)
	for shift := kindBits; b&more != 0; shift += 7 {
		if b, err = p.r.ReadByte(); err != nil || shift > 32 {
			return 0, 0, errPack
		}
		size |= int(b&^more) << shift
	}
	return kind, size, nil
}

// take counts what is unpacked.
func (p *packReader) take(size int) error {
	if size > p.left {
		return fmt.Errorf("the directories of the repository have more than %d bytes", p.most)
	}
	p.left -= size
	return nil
}

func (p *packReader) inflate(size int) ([]byte, error) {
	if err := p.take(size); err != nil {
		return nil, err
	}
	z, err := zlib.NewReader(p.r)
	if err != nil {
		return nil, errPack
	}
	text, err := io.ReadAll(io.LimitReader(z, int64(size)+1))
	if err != nil || len(text) != size {
		return nil, errPack
	}
	if n, err := z.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return nil, errPack
	}
	return text, nil
}

// resolve makes objects of changes, as soon as what they change is known.
func (p *packReader) resolve() error {
	for range maxChain {
		waiting := p.deltas[:0:0]
		for _, d := range p.deltas {
			base, known := p.out.all[d.base]
			if !known {
				waiting = append(waiting, d)
				continue
			}
			content, err := p.change(base.content, d.text)
			if err != nil {
				return err
			}
			p.put(object{base.kind, content})
		}
		if p.deltas = waiting; len(waiting) == 0 {
			return nil
		}
	}
	return errPack
}
