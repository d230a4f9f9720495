package gitlab

import (
	"bytes"
	"testing"
)

func FuzzPackOf(f *testing.F) {
	f.Add([]byte("0034shallow 111111111111111111111111111111111111111100000008NAK\nPACK"))
	f.Add([]byte("000cERR not"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if pack, err := packOf(in); err == nil && !bytes.HasSuffix(in, pack) {
			t.Errorf("%q is not in %q", pack, in)
		}
	})
}
