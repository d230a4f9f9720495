package date

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of a description of a time.
const (
	maxText   = 1024 // bytes
	maxDigits = 17   // of one number; years and seconds have fewer
	maxNano   = 9    // digits of a fraction that count
)

type kind int

const (
	end    kind = iota
	number      // without a sign
	signed
	word
	symbol
)

// token is one word, number or other character.
type token struct {
	kind   kind
	text   string // in small letters; of a number its digits
	value  int
	nanos  int  // of a number with a fraction
	glued  bool // nothing stands between it and the token before
	digits int
}

// scan cuts a description into tokens.
func scan(text string) ([]token, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the description of a date has more than %d bytes", maxText)
	}
	text = strings.ToLower(text)
	var tokens []token
	for i := 0; i < len(text); {
		c := text[i]
		glued := i > 0 && !space(text[i-1])
		switch {
		case space(c):
			i++
		case digit(c):
			t, n := scanNumber(text[i:])
			t.glued = glued
			tokens, i = append(tokens, t), i+n
		case c == '+' || c == '-':
			t, n := scanSigned(text[i:])
			if t.glued = glued; t.kind == signed {
				tokens = append(tokens, t)
			}
			i += n
		case 'a' <= c && c <= 'z':
			n := len(text[i:]) - len(strings.TrimLeft(text[i:], "abcdefghijklmnopqrstuvwxyz."))
			tokens, i = append(tokens, token{kind: word, text: strings.ReplaceAll(text[i:i+n], ".", ""), glued: glued}), i+n
		default:
			tokens, i = append(tokens, token{kind: symbol, text: text[i : i+1], glued: glued}), i+1
		}
	}
	for _, t := range tokens {
		if t.digits > maxDigits {
			return nil, fmt.Errorf("number of %d digits", t.digits)
		}
	}
	return tokens, nil
}

func space(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
func digit(c byte) bool { return '0' <= c && c <= '9' }

// scanSigned reads a sign and its number. As with GNU, spaces may stand between
// them, and a sign without a number is none.
func scanSigned(text string) (t token, length int) {
	n := 1
	for n < len(text) && space(text[n]) {
		n++
	}
	if n == len(text) || !digit(text[n]) {
		return token{}, n
	}
	t, length = scanNumber(text[n:])
	t.kind = signed
	if text[0] == '-' {
		t.value, t.nanos = -t.value, -t.nanos
	}
	return t, n + length
}

// scanNumber reads a number at the start of text, with a fraction behind a
// point or comma.
func scanNumber(text string) (t token, length int) {
	n := run(text)
	t = token{kind: number, text: text[:n], digits: n}
	t.value, _ = strconv.Atoi(text[:min(n, maxDigits)])
	if n < len(text)-1 && (text[n] == '.' || text[n] == ',') && digit(text[n+1]) {
		fraction := text[n+1:]
		fraction = fraction[:run(fraction)]
		n += 1 + len(fraction)
		t.nanos, _ = strconv.Atoi((fraction + "000000000")[:maxNano])
	}
	return t, n
}

func run(text string) int { return len(text) - len(strings.TrimLeft(text, "0123456789")) }
