package gitobject

// change applies a delta: pieces of the base and new text, in turn.
func (p *packReader) change(base, text []byte) ([]byte, error) {
	d := deltaText{text}
	from, ok := d.number()
	size, also := d.number()
	if !ok || !also || from != len(base) {
		return nil, errPack
	}
	if err := p.take(size); err != nil {
		return nil, err
	}
	out := make([]byte, 0, size)
	for len(d.rest) > 0 {
		piece, ok := d.piece(base)
		if !ok || len(piece) > size-len(out) {
			return nil, errPack
		}
		out = append(out, piece...)
	}
	if len(out) != size {
		return nil, errPack
	}
	return out, nil
}

type deltaText struct{ rest []byte }

func (d *deltaText) byte() (byte, bool) {
	if len(d.rest) == 0 {
		return 0, false
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b, true
}

// number reads seven bits of each byte, lowest first.
func (d *deltaText) number() (n int, ok bool) {
	const more, most = 0x80, 32
	for shift := 0; shift < most; shift += 7 {
		b, ok := d.byte()
		if !ok {
			return 0, false
		}
		n |= int(b&^more) << shift
		if b&more == 0 {
			return n, true
		}
	}
	return 0, false
}

// piece is the next part of the result.
func (d *deltaText) piece(base []byte) ([]byte, bool) {
	op, ok := d.byte()
	const fromBase, offsetBits, sizeBits, whole = 0x80, 4, 3, 0x10000
	if !ok || op == 0 {
		return nil, false
	}
	if op&fromBase == 0 { // that many bytes follow
		if int(op) > len(d.rest) {
			return nil, false
		}
		piece := d.rest[:op]
		d.rest = d.rest[op:]
		return piece, true
	}
	var parts [offsetBits + sizeBits]int
	for i := range parts {
		if op>>i&1 == 0 {
			continue
		}
		b, ok := d.byte()
		if !ok {
			return nil, false
		}
		parts[i] = int(b)
	}
	at := parts[0] | parts[1]<<8 | parts[2]<<16 | parts[3]<<24
	size := parts[4] | parts[5]<<8 | parts[6]<<16
	if size == 0 {
		size = whole
	}
	if at > len(base) || size > len(base)-at {
		return nil, false
	}
	return base[at : at+size], true
}
