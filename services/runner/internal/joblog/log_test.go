package joblog

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

const notice = "\n\x1b[33;1mJob's log exceeded limit of %d bytes.\nJob execution will continue but no more output will be collected.\x1b[0;m\n"

// kept is everything that has an offset.
func (l *Log) kept() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.data)
}

// logged is the whole log of the pieces.
func logged(cfg Config, pieces ...string) string {
	l := New(cfg)
	for _, p := range pieces {
		if n, err := l.Write([]byte(p)); n != len(p) || err != nil {
			panic(fmt.Sprint(n, err))
		}
	}
	l.Close()
	return l.kept()
}

func TestBytesThatAreNotUTF8AreReplaced(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain", "plain"},
		{"äöü € 𝄞", "äöü € 𝄞"},
		{"a\xffb", "a\uFFFDb"},
		{"a\xff\xfe", "a\uFFFD\uFFFD"},
		{"€"[:2], "\uFFFD\uFFFD"},
		{"€"[:2] + "x", "\uFFFD\uFFFDx"},
		{"€"[:2] + "ä", "\uFFFD\uFFFDä"},
		{"𝄞"[:3], "\uFFFD\uFFFD\uFFFD"},
		{"\xc0\x80", "\uFFFD\uFFFD"},                      // an overlong NUL
		{"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},            // a surrogate
		{"\xf4\x90\x80\x80", strings.Repeat("\uFFFD", 4)}, // beyond Unicode
		{"ok\x00\x1b[0m", "ok\x00\x1b[0m"},
		{"\uFFFD", "\uFFFD"},
	} {
		for i := range len(c.in) + 1 {
			for j := i; j <= len(c.in); j++ {
				if got := logged(Config{Limit: 1 << 10}, c.in[:i], c.in[i:j], c.in[j:]); got != c.want {
					t.Errorf("%q split at %d and %d: %q, want %q", c.in, i, j, got, c.want)
				}
			}
		}
	}
}

func TestAHalfCharacterWaitsForItsRest(t *testing.T) {
	l := New(Config{Limit: 1 << 10})
	_, _ = l.Write([]byte("a" + "€"[:1]))
	if got := l.kept(); got != "a" {
		t.Errorf("kept %q", got)
	}
	_, _ = l.Write([]byte("€"[1:] + "b"))
	if got := l.kept(); got != "a€b" {
		t.Errorf("kept %q", got)
	}
}

func TestTheLimit(t *testing.T) {
	over := func(limit int) string { return fmt.Sprintf(notice, limit) }
	for name, c := range map[string]struct {
		limit, base int64
		pieces      []string
		want        string
	}{
		"just enough":                  {5, 0, []string{"12345"}, "12345"},
		"one too many":                 {5, 0, []string{"123456"}, "12345" + over(5)},
		"in pieces":                    {5, 0, []string{"123", "45", "6", "7"}, "12345" + over(5)},
		"nothing after the notice":     {5, 0, []string{"123456", "more", "\n"}, "12345" + over(5)},
		"on a character's boundary":    {5, 0, []string{"1234€"}, "1234" + over(5)},
		"a character that just fits":   {7, 0, []string{"1234€x"}, "1234€" + over(7)},
		"four bytes cut":               {6, 0, []string{"123𝄞"}, "123" + over(6)},
		"counted after masking":        {9, 0, []string{"-secret-word-"}, "-[MASKED]" + over(9)},
		"a held beginning counts too":  {5, 0, []string{"12345", "se"}, "12345" + over(5)},
		"what an earlier runner wrote": {5, 3, []string{"123"}, "12" + over(5)},
		"already beyond":               {5, 9, []string{"1"}, over(5)},
		"already beyond, and silent":   {5, 9, nil, ""},
	} {
		got := logged(Config{Limit: c.limit, Base: c.base, Phrases: []string{"secret-word"}}, c.pieces...)
		if got != c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, c.want)
		}
	}
}

func TestSizeCountsFromTheFirstByteOfTheJob(t *testing.T) {
	l := New(Config{Limit: 1 << 10, Base: 100, Phrases: []string{"secret"}})
	_, _ = l.Write([]byte("abc sec"))
	if l.Size() != 104 {
		t.Errorf("size = %d: what is held back has no offset yet", l.Size())
	}
	l.Close()
	if l.Size() != 107 {
		t.Errorf("size = %d", l.Size())
	}
}

func TestNothingIsAddedAfterClose(t *testing.T) {
	l := New(Config{Limit: 1 << 10, Phrases: []string{"secret"}})
	_, _ = l.Write([]byte("a sec\xe2\x82"))
	l.Close()
	l.Close()
	_, _ = l.Write([]byte("more"))
	l.Printf("%s", "more")
	if got := l.kept(); got != "a sec\uFFFD\uFFFD" {
		t.Errorf("kept %q", got)
	}
}

func TestTheRunnersOwnLinesAreMaskedToo(t *testing.T) {
	l := New(Config{Limit: 1 << 10, Phrases: []string{"secret"}})
	l.Printf("clone of https://x:%s@host failed: %d%%", "secret", 5)
	if got := l.kept(); got != "clone of https://x:[MASKED]@host failed: 5%\n" {
		t.Errorf("kept %q", got)
	}
}

func TestManyWriters(t *testing.T) {
	const writers, lines = 8, 200
	l := New(Config{Limit: 1 << 20, Phrases: []string{"secret"}})
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for range lines {
				fmt.Fprintf(l, "writer %d says secret\n", w)
			}
		})
	}
	all.Wait()
	l.Close()
	for w := range writers {
		if n := strings.Count(l.kept(), fmt.Sprintf("writer %d says [MASKED]\n", w)); n != lines {
			t.Errorf("writer %d: %d whole lines of %d", w, n, lines)
		}
	}
}

func FuzzWrite(f *testing.F) {
	f.Add([]byte("a€b"), 2, 3, 10)
	f.Add([]byte("\xff\xfe secret \xe2"), 1, 9, 4)
	f.Fuzz(func(t *testing.T, in []byte, a, b, limit int) {
		a = min(max(a, 0), len(in))
		b = min(max(b, a), len(in))
		limit = min(max(limit, 1), 1<<20)
		cfg := Config{Limit: int64(limit), Phrases: []string{"secret"}}
		whole := logged(cfg, string(in))
		if got := logged(cfg, string(in[:a]), string(in[a:b]), string(in[b:])); got != whole {
			t.Fatalf("split: %q\nwhole: %q", got, whole)
		}
		if !utf8.ValidString(whole) {
			t.Fatalf("not UTF-8: %q", whole)
		}
		if extra := len(fmt.Sprintf(notice, limit)); len(whole) > limit+extra {
			t.Fatalf("%d bytes with a limit of %d", len(whole), limit)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	const piece = 32 << 10
	phrases := make([]string, 40)
	for i := range phrases {
		phrases[i] = fmt.Sprintf("%c%d-masked-value-of-a-variable", 'A'+i%26, i)
	}
	text := bytes.Repeat([]byte("2026-01-02T03:04:05Z deployment.apps/frontend-api configured, waiting for rollout: 3 of 5 updated\n"), piece/99)
	for name, in := range map[string][]byte{
		"plain":   text,
		"unicode": bytes.ReplaceAll(text, []byte("configured"), []byte("geändert … ✓")),
		"matches": bytes.ReplaceAll(text, []byte("frontend-api"), []byte(phrases[7])),
		"binary":  bytes.Repeat([]byte{0xff, 'a', 0x80}, piece/3),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			l := New(Config{Limit: 1 << 50, Phrases: phrases})
			for b.Loop() {
				_, _ = l.Write(in)
				l.data = l.data[:0] // what grows is not what is measured
			}
		})
	}
}
