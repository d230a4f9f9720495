package joblog

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/joblines/linestest"
)

// stamped is a log with timestamps and its lines without the times.
func stamped(cfg Config, script func(l *Log)) (raw string, lines []string) {
	cfg.Timestamps = true
	if cfg.Limit == 0 {
		cfg.Limit = 1 << 20
	}
	l := New(cfg)
	script(l)
	l.Close()
	for line := range strings.Lines(l.kept()) {
		lines = append(lines, strings.TrimSuffix(line[28:], "\n"))
	}
	return l.kept(), lines
}

func say(l *Log, stream, text string) {
	switch stream {
	case "o":
		_, _ = l.Output().Write([]byte(text))
	case "e":
		_, _ = l.Errors().Write([]byte(text))
	default:
		_, _ = l.Write([]byte(text))
	}
}

// The sample of runner-api sheet, section 16.1, in the writes that led to it.
func TestTheSampleOfTheSheet(t *testing.T) {
	_, got := stamped(Config{}, func(l *Log) {
		for _, w := range [][2]string{
			{"r", "section_start:1700000000:step_script\r\x1b[0K"},
			{"r", "\x1b[0K\x1b[36;1mExecuting\x1b[0;m\x1b[0;m\n"},
			{"o", "\x1b[32;1m$ echo hello\x1b[0;m\n"},
			{"o", "progress 10%\r"},
			{"o", "progress 20%\r"},
			{"e", "err no newline"},
			{"r", "section_end:1700000001:step_script\r\x1b[0K"},
			{"r", "\x1b[32;1mJob succeeded\x1b[0;m\n"},
		} {
			say(l, w[0], w[1])
		}
	})
	want := []string{
		"00O section_start:1700000000:step_script\r\x1b[0K", "00O+\x1b[0K\x1b[36;1mExecuting\x1b[0;m\x1b[0;m",
		"01O \x1b[32;1m$ echo hello\x1b[0;m", "01O progress 10%\r", "01O+progress 20%\r", "01E err no newline",
		"00O section_end:1700000001:step_script\r\x1b[0K", "00O+\x1b[32;1mJob succeeded\x1b[0;m",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestStreamsAreMaskedEachForItself(t *testing.T) {
	_, got := stamped(Config{Phrases: []string{"secret-word"}}, func(l *Log) {
		say(l, "o", "a sec")
		say(l, "e", "an error ")
		say(l, "o", "ret-word b\n")
		say(l, "e", "secret-word\n")
	})
	if strings.Join(got, "|") != "01O a [MASKED] b|01E an error [MASKED]" {
		t.Errorf("got %q", got)
	}
}

func TestARunnersLineEndsWhatTheScriptHasBegun(t *testing.T) {
	_, got := stamped(Config{Phrases: []string{"secret-word"}}, func(l *Log) {
		say(l, "o", "a sec")
		say(l, "e", "glpat-abc")
		l.Printf("runner")
		say(l, "o", "ret-word")
		say(l, "e", "def")
	})
	if strings.Join(got, "|") != "01O a sec|01E glpat-[MASKED]|00O runner|01O ret-word|01E def" {
		t.Errorf("got %q", got)
	}
}

func TestPiecesEndWithWholeLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		err := ship(t, s, Config{Timestamps: true, Limit: 4 << 20}, func(l *Log) {
			for range 20_000 {
				l.Printf("a line of a burst that is larger than a piece")
			}
		})
		if err != nil || len(s.calls) < 3 {
			t.Fatalf("%d calls, %v", len(s.calls), err)
		}
		for _, c := range s.calls {
			if !strings.HasSuffix(c.data, "\n") {
				t.Errorf("the piece at %d ends with %q", c.offset, c.data[len(c.data)-10:])
			}
		}
	})
}

func TestTimestampsAreThoseOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, _ := stamped(Config{}, func(l *Log) {
			say(l, "o", "one\n")
			time.Sleep(time.Second)
			say(l, "o", "two\n")
		})
		if !regexp.MustCompile(`^2000-01-01T00:00:00\.000000Z 01O one\n2000-01-01T00:00:01\.000000Z 01O two\n$`).MatchString(raw) {
			t.Errorf("raw %q", raw)
		}
	})
}

func FuzzStreams(f *testing.F) {
	f.Add("a secret", "-word\r", "\xff\n")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		cfg := Config{Phrases: []string{"secret-word"}, Limit: 1 << 20}
		raw, _ := stamped(cfg, func(l *Log) { say(l, "o", a); say(l, "o", b); say(l, "o", c) })
		plain := New(cfg)
		for _, p := range []string{a, b, c} {
			say(plain, "o", p)
		}
		plain.Close()
		if got, want := linestest.Bare(raw), plain.kept(); got != want && got != want+"\n" {
			t.Fatalf("with timestamps %q, without %q", got, want)
		}
		if strings.Contains(raw, "secret-word") {
			t.Fatal("a secret is shown")
		}
	})
}
