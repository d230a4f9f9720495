package egress

import "io"

// Bound lets at most limit bytes of a response's body be read; whoever reads on
// gets over.
func Bound(body io.ReadCloser, limit int64, over error) io.ReadCloser {
	return &bounded{ReadCloser: body, left: limit, over: over}
}

type bounded struct {
	io.ReadCloser
	left int64
	over error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.over
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
