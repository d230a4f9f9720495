package strictyaml

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"sort"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// document reads the single YAML document of a file. A nil node is an empty
// file.
func document(name string, content []byte, o Options) (*yaml.Node, *Fault) {
	whole := func(line, column int, problem, remedy string) *Fault {
		return &Fault{File: name, Line: line, Column: column, Problem: problem, Remedy: remedy}
	}
	if len(content) > o.maxBytes() {
		return nil, whole(1, 1, strconv.Itoa(len(content))+" bytes are over the limit of "+strconv.Itoa(o.maxBytes())+" bytes", o.TooLarge)
	}
	if !utf8.Valid(content) {
		line, column := invalidAt(content)
		return nil, whole(line, column, "not UTF-8 text", "save the file as UTF-8")
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc, next yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		line, column, text := syntaxFault(content, err)
		return nil, whole(line, column, "not valid YAML: "+text, "")
	}
	if err := dec.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, whole(max(next.Line, 1), max(next.Column, 1), "a second YAML document", "keep one document"+also(o.SecondDocument))
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, nil
	}
	return doc.Content[0], nil
}

func invalidAt(content []byte) (line, column int) {
	line, column = 1, 1
	for len(content) > 0 {
		r, n := utf8.DecodeRune(content)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
		content = content[n:]
	}
	return line, column
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line \d+: )?`)

// syntaxFault finds the place of a YAML error. The error itself names at best
// the line in which the surrounding block starts, so the place is taken to be
// the first line that brings the same error about when the file ends there.
func syntaxFault(content []byte, err error) (line, column int, problem string) {
	lines := bytes.SplitAfter(content, []byte("\n"))
	whole := err.Error()
	ends := make([]int, len(lines))
	for i, end := 0, 0; i < len(lines); i++ {
		end += len(lines[i])
		ends[i] = end
	}
	at := sort.Search(len(lines)-1, func(i int) bool {
		var n yaml.Node
		err := yaml.NewDecoder(bytes.NewReader(content[:ends[i]])).Decode(&n)
		return err != nil && err.Error() == whole
	})
	text := lines[at]
	return at + 1, 1 + len(text) - len(bytes.TrimLeft(text, " \t")), yamlLine.ReplaceAllString(whole, "")
}

// pair is one key of a mapping with its value, aliases followed.
type pair struct {
	name       string
	key, value *yaml.Node
}

// pairs returns a mapping's keys in the order of the file. Merge keys (<<) are
// resolved as YAML 1.1 has it: what stands in the mapping itself wins, then the
// first merged mapping.
func (c *checker) pairs(n *yaml.Node, path string, depth int) []pair {
	var out, merged []pair
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			merged = append(merged, c.merged(value, path, depth)...)
			continue
		}
		k := c.follow(key)
		if k == nil || k.Kind != yaml.ScalarNode {
			c.fault(key, path, "a key that is not a word", "write a plain word in front of the colon")
			continue
		}
		if first, twice := seen[k.Value]; twice {
			c.fault(key, join(path, k.Value), "given twice", "the first one is in line "+strconv.Itoa(first.Line)+"; keep one"+also(c.options.SecondKey))
			continue
		}
		seen[k.Value] = key
		if v := c.follow(value); v != nil {
			out = append(out, pair{k.Value, key, v})
		}
	}
	for _, p := range merged {
		if seen[p.name] == nil {
			seen[p.name] = p.key
			out = append(out, p)
		}
	}
	return out
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.ShortTag() == "!!merge"
}

// merged is what a merge key brings in: one mapping or a list of mappings.
func (c *checker) merged(value *yaml.Node, path string, depth int) []pair {
	v := c.follow(value)
	switch {
	case v == nil:
		return nil
	case depth > maxDepth:
		c.fault(value, path, "merge keys nested too deep", "write the keys out")
		return nil
	case v.Kind == yaml.MappingNode:
		return c.pairs(v, path, depth+1)
	case v.Kind == yaml.SequenceNode:
		var out []pair
		for _, e := range v.Content {
			if m := c.follow(e); m != nil && m.Kind == yaml.MappingNode {
				out = append(out, c.pairs(m, path, depth+1)...)
			} else if m != nil {
				c.fault(e, path, "a merge key (<<) takes mappings", "")
			}
		}
		return out
	}
	c.fault(value, path, "a merge key (<<) takes mappings", "")
	return nil
}

// follow resolves an alias and counts the visit; nil means the budget is spent.
func (c *checker) follow(n *yaml.Node) *yaml.Node {
	for hops := 0; n != nil && n.Kind == yaml.AliasNode; hops++ {
		if hops > maxDepth {
			return nil
		}
		n = n.Alias
	}
	if n == nil {
		return nil
	}
	if c.nodes++; c.nodes > c.options.maxNodes() {
		if c.nodes == c.options.maxNodes()+1 {
			c.fault(n, "", "too large once its aliases are written out", "use fewer aliases (*name)")
		}
		return nil
	}
	return n
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
