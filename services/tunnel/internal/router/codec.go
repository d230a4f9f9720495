package router

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// GetJobRequest and GetJobResponse of gitlab.agent.job_router.rpc both have one
// field, number 1, of bytes: JSON that the router passes on unread. Written by
// hand they need no generated code.
const jsonField protowire.Number = 1

// message is either of them.
type message struct{ json []byte }

var errNoMessage = errors.New("router: not one of its messages")

// codec is the Protocol Buffers form of a message.
type codec struct{}

var _ encoding.CodecV2 = codec{}

// Name implements encoding.CodecV2; it becomes the content type.
func (codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*message)
	if !ok {
		return nil, errNoMessage
	}
	var b []byte
	if len(m.json) > 0 {
		b = protowire.AppendTag(b, jsonField, protowire.BytesType)
		b = protowire.AppendBytes(b, m.json)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

// Unmarshal implements encoding.CodecV2. Unknown fields are passed over, and of
// several occurrences the last counts.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return errNoMessage
	}
	m.json = nil
	for b := data.Materialize(); len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("router: message: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if number == jsonField && kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return fmt.Errorf("router: message: %w", protowire.ParseError(n))
			}
			m.json, b = value, b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return fmt.Errorf("router: message: %w", protowire.ParseError(n))
		}
		b = b[n:]
	}
	return nil
}
