package job

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFramesRoundTrip(t *testing.T) {
	var buf bytes.Buffer
	w := newFrameWriter(&buf)
	long := strings.Repeat("x", 2*MaxFrame+7)
	io.WriteString(w.stream(KindRunner), "runner")
	io.WriteString(w.stream(KindStdout), long)
	io.WriteString(w.stream(KindStderr), "")
	if err := w.event(Event{Type: EventScriptStarted}); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	var stdout strings.Builder
	err := ReadFrames(&buf, func(f Frame) error {
		kinds = append(kinds, string(rune(f.Kind)))
		if f.Kind == KindStdout {
			stdout.Write(f.Data)
		}
		if f.Kind == KindEvent {
			if e, err := f.Event(); err != nil || e.Type != EventScriptStarted {
				t.Errorf("event %+v, %v", e, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"r", "o", "o", "o", "j"}, kinds); diff != "" {
		t.Error(diff)
	}
	if stdout.String() != long {
		t.Error("long output changed on the way")
	}
}

func TestHostileFrames(t *testing.T) {
	tests := map[string]struct {
		in   string
		want error
	}{
		"empty":           {"", io.EOF},
		"unknown kind":    {"x\x00\x00\x00\x00", ErrBadFrame},
		"too large":       {"o\x00\x01\x00\x01", ErrBadFrame},
		"huge":            {"o\xff\xff\xff\xff", ErrBadFrame},
		"cut in the head": {"o\x00\x00", io.ErrUnexpectedEOF},
		"cut in the data": {"o\x00\x00\x00\x05abc", io.ErrUnexpectedEOF},
		"cut before data": {"o\x00\x00\x00\x05", io.ErrUnexpectedEOF},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := NewFrameReader(strings.NewReader(tt.in))
			_, err := r.Next()
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if _, again := r.Next(); again != err {
				t.Errorf("error is not final: %v", again)
			}
		})
	}
}

func TestHostileEvents(t *testing.T) {
	for _, in := range []string{``, `{}`, `null`, `[]`, `{"type":"result"}`, `{"type":"result","result":{}}`, `{"type":"result","result":{"state":"won"}}`, `{"type":"boom"}`} {
		if e, err := (Frame{Kind: KindEvent, Data: []byte(in)}).Event(); err == nil {
			t.Errorf("%s was taken for %+v", in, e)
		}
	}
}

func FuzzReadFrames(f *testing.F) {
	f.Add([]byte("o\x00\x00\x00\x02hi"))
	f.Add([]byte("j\x00\x00\x00\x19{\"type\":\"script_started\"}r\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		total := 0
		_ = ReadFrames(bytes.NewReader(in), func(fr Frame) error {
			total += frameHead + len(fr.Data)
			if len(fr.Data) > MaxFrame {
				t.Fatalf("frame of %d bytes", len(fr.Data))
			}
			if fr.Kind == KindEvent {
				_, _ = fr.Event()
			}
			return nil
		})
		if total > len(in) {
			t.Fatalf("%d bytes out of %d", total, len(in))
		}
	})
}

func FuzzReadMessage(f *testing.F) {
	var good bytes.Buffer
	if err := WriteControl(&good, Control{Cancel: CancelTimeout}); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var spec Spec
		_ = readMessage(bytes.NewReader(in), &spec)
	})
}

func TestMessageErrorsDoNotQuote(t *testing.T) {
	in := "\x00\x00\x00\x14{\"job\":\"secret-token\""
	var spec Spec
	err := readMessage(strings.NewReader(in), &spec)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

func TestGateSwallowsAfterClose(t *testing.T) {
	var buf bytes.Buffer
	g := &gate{w: &buf}
	io.WriteString(g, "before")
	g.close()
	if n, err := io.WriteString(g, "after"); n != 5 || err != nil || buf.String() != "before" {
		t.Errorf("n %d, err %v, text %q", n, err, buf.String())
	}
}
