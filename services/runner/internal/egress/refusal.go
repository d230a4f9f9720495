package egress

import (
	"io"
	"net/http"
	"strings"
)

// maxRefusal is how much of an answer is read for the proxy's reason.
const maxRefusal = 1 << 10

// Refusal is what the proxy says when it does not forward a plain HTTP request,
// "" when the answer is not the proxy's. It reads from the body.
func Refusal(answer *http.Response) string {
	if answer.StatusCode < http.StatusBadRequest {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
	if first, _, _ := strings.Cut(string(text), "\n"); err == nil && strings.HasPrefix(first, "towline: ") {
		return first
	}
	return ""
}
