package egress

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// Limits of what a refusal of CONNECT may say and take.
const (
	maxReason     = 512 // bytes
	refusalWrites = 10 * time.Second
)

// refuse answers with the reason. Clients that asked for a tunnel never show the
// body of such an answer, but what stands behind the code in its first line:
// "Forbidden" alone would tell nobody which setting to change.
func refuse(w http.ResponseWriter, r *http.Request, code int, why string) {
	why = "towline: " + why
	if r.Method != http.MethodConnect {
		http.Error(w, why, code)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, why, code)
		return
	}
	defer conn.Close()
	header := w.Header().Clone()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Content-Length", fmt.Sprint(len(why)+1))
	header.Set("Connection", "close")
	var answer strings.Builder
	fmt.Fprintf(&answer, "HTTP/1.1 %d %s\r\n", code, reason(why))
	_ = header.Write(&answer)
	fmt.Fprintf(&answer, "\r\n%s\n", why)
	_ = conn.SetWriteDeadline(time.Now().Add(refusalWrites))
	_, _ = conn.Write([]byte(answer.String())) // nobody is left to tell
}

// reason makes a text fit for the first line of an answer: printable ASCII, and
// not too much of it.
func reason(text string) string {
	text = strings.Map(func(c rune) rune {
		if c > unicode.MaxASCII || !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, text)
	return text[:min(len(text), maxReason)]
}
