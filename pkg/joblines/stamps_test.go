package joblines

import (
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/jobspec"
)

// clock gives each header the next microsecond.
func clock() func() time.Time {
	at := time.Date(2026, 11, 22, 16, 11, 50, 558_000_000, time.UTC)
	return func() time.Time { at = at.Add(time.Microsecond); return at }
}

// stamped is what becomes of the pieces, without the times.
func stamped(pieces ...string) []string {
	s := NewStamps(Output, clock())
	var out []byte
	for _, p := range pieces {
		out = s.Append(out, []byte(p))
	}
	out = s.Close(out)
	var lines []string
	for line := range strings.Lines(string(out)) {
		lines = append(lines, line[len("2026-11-22T16:11:50.558001Z "):])
	}
	return lines
}

func TestStamps(t *testing.T) {
	long := strings.Repeat("x", maxWaiting)
	for name, c := range map[string]struct{ in, want []string }{
		"nothing":                                  {nil, nil},
		"whole lines":                              {[]string{"a\nb\n"}, []string{"01O a\n", "01O b\n"}},
		"an empty line":                            {[]string{"\n"}, []string{"01O \n"}},
		"a line in pieces":                         {[]string{"a", "b", "c\nd\n"}, []string{"01O abc\n", "01O d\n"}},
		"a beginning ends with the stream":         {[]string{"a"}, []string{"01O a\n"}},
		"a progress bar":                           {[]string{"10%\r", "20%\r", "done\n"}, []string{"01O 10%\r\n", "01O+20%\r\n", "01O+done\n"}},
		"a carriage return takes all with it":      {[]string{"section_end:1:x\r\x1b[0K"}, []string{"01O section_end:1:x\r\x1b[0K\n"}},
		"what waits goes with a carriage return":   {[]string{"a", "b\r", "c\n"}, []string{"01O ab\r\n", "01O+c\n"}},
		"a carriage return before a line feed":     {[]string{"a\r\nb\r\n"}, []string{"01O a\r\n", "01O b\r\n"}},
		"a carriage return after a line":           {[]string{"a\nb\r"}, []string{"01O a\n", "01O b\r\n"}},
		"a long beginning does not wait":           {[]string{"a", long, "b\n"}, []string{"01O a" + long + "\n", "01O+b\n"}},
		"a line that continues is continued":       {[]string{"a\r", "b", "c\r", "d\n", "e\n"}, []string{"01O a\r\n", "01O+bc\r\n", "01O+d\n", "01O e\n"}},
		"nothing is added when nothing is waiting": {[]string{"a\r"}, []string{"01O a\r\n"}},
	} {
		got := stamped(c.in...)
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTheHeaderHas32Bytes(t *testing.T) {
	s := NewStamps(Runner, func() time.Time {
		return time.Date(2026, 1, 2, 5, 4, 5, 1_999, time.FixedZone("x", 3600))
	})
	if got := string(s.Append(nil, []byte("x\n"))); got != "2026-01-02T04:04:05.000001Z 00O x\n" || len(got) != 32+2 {
		t.Errorf("got %q", got)
	}
}

func TestTheTimeIsThatOfALinesBeginning(t *testing.T) {
	at := time.Unix(100, 0)
	s := NewStamps(Errors, func() time.Time { return at })
	out := s.Append(nil, []byte("a"))
	at = time.Unix(200, 0)
	if out = s.Append(out, []byte("b\n")); string(out) != "1970-01-01T00:01:40.000000Z 01E ab\n" {
		t.Errorf("got %q", out)
	}
}

func TestWhichJobsHaveTimestamps(t *testing.T) {
	for value, want := range map[string]bool{"": true, "true": true, "1": true, "false": false, "0": false, "nonsense": true} {
		j := &jobspec.Job{Variables: jobspec.Variables{{Key: "FF_TIMESTAMPS", Value: value}}}
		got := string(Stamp(j, time.Unix(0, 0), Failed(System, "x")))
		if (got == "\x1b[31;1mERROR: Job failed (system failure): x\x1b[0;m\n") == want || Timestamped(j) != want {
			t.Errorf("%q: %q", value, got)
		}
	}
	if !Timestamped(&jobspec.Job{}) {
		t.Error("a job that says nothing has timestamps")
	}
}

// unstamped takes the headers off again.
func unstamped(t *testing.T, out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if len(line) < 33 || !strings.HasSuffix(line, "\n") || line[28:31] != "01O" {
			t.Fatalf("no header: %q", line)
		}
		if text := b.String(); line[31] == '+' {
			b.Reset()
			b.WriteString(strings.TrimSuffix(text, "\n"))
		}
		b.WriteString(line[32:])
	}
	return b.String()
}

func FuzzStamps(f *testing.F) {
	f.Add("a\nb", "c\r", "d\r\n")
	f.Add("\r", "\n", "")
	f.Add(strings.Repeat("x", maxWaiting), "y", "\rz")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		s := NewStamps(Output, clock())
		out := s.Append(nil, []byte(a))
		out = s.Append(out, []byte(b))
		out = s.Close(s.Append(out, []byte(c)))
		in := a + b + c
		got := unstamped(t, string(out))
		if got != in && got != in+"\n" {
			t.Fatalf("in %q, out %q", in, got)
		}
		if n := len(s.waiting); n != 0 {
			t.Fatalf("%d bytes are left", n)
		}
	})
}
