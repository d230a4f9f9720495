package gitlabsim

import (
	"errors"

	"google.golang.org/grpc/mem"
)

// routerMessage is GetJobRequest or GetJobResponse of KAS: both have nothing but
// bytes in field 1 (19).
type routerMessage struct{ json []byte }

var errRouterMessage = errors.New("not a message of one bytes field")

// lengthDelimited is the tag of field 1 with bytes.
const lengthDelimited = 1<<3 | 2

// routerCodec reads and writes exactly that, and nothing else.
type routerCodec struct{}

// Name implements encoding.CodecV2.
func (routerCodec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (routerCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*routerMessage)
	if !ok {
		return nil, errRouterMessage
	}
	var b []byte
	if n := len(m.json); n > 0 {
		b = append(b, lengthDelimited)
		for ; n >= 0x80; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		b = append(append(b, byte(n)), m.json...)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (routerCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*routerMessage)
	b := data.Materialize()
	if !ok || len(b) < 2 || b[0] != lengthDelimited {
		return errRouterMessage
	}
	const longest = 4 // bytes of a length below 2^28
	size, i := 0, 1
	for shift := 0; ; shift += 7 {
		if i == len(b) || i > longest {
			return errRouterMessage
		}
		size |= int(b[i]&0x7f) << shift
		i++
		if b[i-1] < 0x80 {
			break
		}
	}
	if len(b)-i != size {
		return errRouterMessage
	}
	m.json = b[i:]
	return nil
}
