package joblines

import "testing"

// The lines of runner-api sheet, section 16, byte for byte.
func TestLines(t *testing.T) {
	for want, got := range map[string]string{
		"\x1b[0Ktext\x1b[0;m\n":                      Text("text"),
		"\x1b[32;1mtext\x1b[0;m\n":                   Info("text"),
		"\x1b[0;33mWARNING: text\x1b[0;m\n":          Warning("text"),
		"\x1b[31;1mERROR: text\x1b[0;m\n":            Error("text"),
		"\x1b[0K\x1b[36;1mtext\x1b[0;m\x1b[0;m\n":    Header("text"),
		"\x1b[31;1mERROR: Job failed: why\x1b[0;m\n": Failed(Job, "why"),
		"a b  c\u00e4":                               Plain("a\tb\r\nc\u00e4"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
