package main

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

const hintMark = "@schema "

// value is one key of values.yaml.
type value struct {
	name     string
	path     string // with dots
	doc      string
	hint     map[string]any
	node     *yaml.Node
	children []*value // of a map with keys of its own
}

// parse reads values.yaml with its comments.
func parse(source []byte) (*value, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(source, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is no map")
	}
	top := &value{node: doc.Content[0]}
	return top, top.read()
}

func (v *value) read() error {
	for i := 0; i < len(v.node.Content); i += 2 {
		key, node := v.node.Content[i], v.node.Content[i+1]
		c := &value{name: key.Value, path: strings.TrimPrefix(v.path+"."+key.Value, "."), node: node}
		if err := c.comment(lastParagraph(key.HeadComment)); err != nil {
			return fmt.Errorf("%s: %w", c.path, err)
		}
		if node.Kind == yaml.MappingNode && c.hint["ref"] == nil {
			if len(node.Content) == 0 {
				return fmt.Errorf("%s: a map without keys needs an @schema that says what it holds", c.path)
			}
			if err := c.read(); err != nil {
				return err
			}
		}
		v.children = append(v.children, c)
	}
	return nil
}

// lastParagraph drops what stands above an empty line: the file's own comment.
func lastParagraph(comment string) string {
	if i := strings.LastIndex(comment, "\n\n"); i >= 0 {
		return comment[i+2:]
	}
	return comment
}

func (v *value) comment(text string) error {
	var doc []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimPrefix(strings.TrimPrefix(line, "#"), " ")
		hint, ok := strings.CutPrefix(line, hintMark)
		if !ok {
			doc = append(doc, line)
			continue
		}
		if err := yaml.Unmarshal([]byte(hint), &v.hint); err != nil {
			return fmt.Errorf("%s%s: %w", hintMark, hint, err)
		}
	}
	v.doc = strings.TrimSpace(strings.Join(doc, "\n"))
	return nil
}
