package manifests

import "bytes"

// document is one part of a file, from a line of --- to before the next.
type document struct {
	text []byte
	line int // of its first line in the file, from 1
}

// split cuts a file at its lines of ---, so that a fault in one document hides
// no other. Parts of nothing but comments and directives are left out.
func split(content []byte) []document {
	var out []document
	start, startLine, line := 0, 1, 1
	for pos := 0; pos < len(content); line++ {
		end := len(content)
		if i := bytes.IndexByte(content[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		if pos > start && isMarker(content[pos:end]) {
			out = appendDocument(out, content[start:pos], startLine)
			start, startLine = pos, line
		}
		pos = end
	}
	return appendDocument(out, content[start:], startLine)
}

func isMarker(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || rest[0] == '\n' || rest[0] == '\r' || rest[0] == ' ' || rest[0] == '\t')
}

func appendDocument(out []document, text []byte, line int) []document {
	for l := range bytes.Lines(text) {
		if isMarker(l) {
			l = l[len("---"):]
		}
		if l = bytes.TrimSpace(l); len(l) > 0 && l[0] != '#' && l[0] != '%' {
			return append(out, document{text: text, line: line})
		}
	}
	return out
}
