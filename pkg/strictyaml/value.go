package strictyaml

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Value is a checked value of a file. A nil Value is one that is not there, or
// null; all methods but Fault and Notice, which need a place, answer for it as
// for an empty one. Values are read only and safe for concurrent use.
type Value struct {
	file   string
	path   string
	key    *yaml.Node // where its key stands; nil for items and the root
	node   *yaml.Node
	pairs  []Pair // of an Object or Map, in the order of the file
	byName map[string]*Value
	items  []*Value
}

// Pair is a key with its value.
type Pair struct {
	Name  string
	Value *Value
}

// Path is how faults name the value, for example ci_access.projects[0].id.
func (v *Value) Path() string {
	if v == nil {
		return ""
	}
	return v.path
}

// Place is the line and column where the value starts, from 1; 0 for a nil
// Value.
func (v *Value) Place() (line, column int) {
	if v == nil {
		return 0, 0
	}
	return v.node.Line, v.node.Column
}

// KeyPlace is where the value's key stands, or Place for an item of a list.
func (v *Value) KeyPlace() (line, column int) {
	if v == nil || v.key == nil {
		return v.Place()
	}
	return v.key.Line, v.key.Column
}

// Get returns the value of a key of an object, nil when it is not there.
func (v *Value) Get(key string) *Value {
	if v == nil {
		return nil
	}
	return v.byName[key]
}

// Pairs are the keys of an object or map with their values, in the order of the
// file.
func (v *Value) Pairs() []Pair {
	if v == nil {
		return nil
	}
	return v.pairs
}

// Items are the items of a list.
func (v *Value) Items() []*Value {
	if v == nil {
		return nil
	}
	return v.items
}

// Text is a scalar as it is written, without quotes.
func (v *Value) Text() string {
	if v == nil || v.node.Kind != yaml.ScalarNode {
		return ""
	}
	return v.node.Value
}

// Texts are the texts of a list, nil for an empty one.
func (v *Value) Texts() []string {
	var out []string
	for _, e := range v.Items() {
		out = append(out, e.Text())
	}
	return out
}

// Bool is a boolean; false when the value is not there.
func (v *Value) Bool() bool {
	if v == nil {
		return false
	}
	b, _ := truth(v.node)
	return b
}

// Int is a whole number; 0 when the value is not there.
func (v *Value) Int() int64 {
	if v == nil {
		return 0
	}
	n, _ := strconv.ParseInt(v.node.Value, 10, 64) // checked to have at most 18 digits
	return n
}

// YAML is the value as a document of its own, with aliases written out; nil when
// it is not there. Its size is bounded by what Parse has let through.
func (v *Value) YAML() []byte {
	if v == nil {
		return nil
	}
	var free any
	if v.node.Decode(&free) != nil {
		return nil // Parse has decoded it once
	}
	text, err := yaml.Marshal(free)
	if err != nil {
		return nil
	}
	return text
}

// Fault is a fault of the value, for checks that a schema cannot express.
func (v *Value) Fault(problem, remedy string) Fault {
	line, column := v.Place()
	return Fault{File: v.file, Line: line, Column: column, Key: v.path, Problem: problem, Remedy: remedy}
}

// Notice is a notice at the value's key.
func (v *Value) Notice(text string) Notice {
	line, column := v.KeyPlace()
	return Notice{File: v.file, Line: line, Column: column, Key: v.path, Text: text}
}
