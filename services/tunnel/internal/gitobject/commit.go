package gitobject

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Commit is what a signature is about.
type Commit struct {
	Tree      ID
	Payload   []byte // what was signed
	Signature string // armored; "" for none
}

// errCommit means that a commit is not as Git makes them.
var errCommit = errors.New("the commit is malformed")

// Commit is the commit of that id.
func (o *Objects) Commit(id ID) (*Commit, error) {
	c, ok := o.all[id]
	if !ok || c.kind != "commit" {
		return nil, fmt.Errorf("GitLab did not send the commit %.8s", string(id))
	}
	return o.parseCommit(c.content)
}

// parseCommit takes the signature out of a commit's head. The payload is the
// rest, to the byte.
func (o *Objects) parseCommit(content []byte) (*Commit, error) {
	out := &Commit{}
	header, other := "gpgsig", "gpgsig-sha256"
	if o.size == sizeSHA256 {
		header, other = other, header
	}
	signature, within := []string(nil), ""
	rest := content
	for n := 0; ; n++ {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			return nil, errCommit
		}
		if len(line) == 0 {
			break // the message follows
		}
		key, value, _ := strings.Cut(string(line), " ")
		switch {
		case n == 0:
			if out.Tree = ID(value); key != "tree" || out.Tree.size() != o.size {
				return nil, errCommit
			}
		case key == "": // goes on with the line before
			value = string(line[1:])
			key = within
		case key == header && signature != nil:
			return nil, errCommit
		}
		within = key
		switch key {
		case header:
			signature = append(signature, value)
		case other:
		default:
			out.Payload = append(append(out.Payload, line...), '\n')
		}
		rest = after
	}
	out.Payload = append(out.Payload, rest...)
	if signature != nil {
		out.Signature = strings.Join(signature, "\n") + "\n"
	}
	return out, nil
}
