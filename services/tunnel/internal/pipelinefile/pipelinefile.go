package pipelinefile

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Path is where GitLab looks for the file unless a project says otherwise.
const Path = ".gitlab-ci.yml"

// Limits of the file.
const (
	MaxSize = 256 << 10
	// maxText bounds what is taken from it, in bytes.
	maxText = 1024
	// maxDocuments are a header (spec) and the pipeline.
	maxDocuments = 2
)

// Target is what environment.kubernetes names, with its references to variables
// as they stand; "" is not said.
type Target struct{ Agent, Namespace string }

// Read looks for the job. What cannot be read says nothing.
func Read(content []byte, job string) Target {
	kubernetes := at(find(content, job), "environment", "kubernetes")
	t := Target{Agent: text(at(kubernetes, "agent")), Namespace: text(at(kubernetes, "namespace"))}
	if t.Namespace == "" {
		t.Namespace = text(at(kubernetes, "dashboard", "namespace"))
	}
	return t
}

// find returns the job's node, or nil. Jobs that GitLab multiplies are listed
// under the name without their suffix.
func find(content []byte, job string) *yaml.Node {
	root := pipeline(content)
	if n := at(root, job); n != nil {
		return n
	}
	if base := multiplied.ReplaceAllString(job, ""); base != job {
		return at(root, base)
	}
	return nil
}

// multiplied is what parallel and parallel:matrix append to a name.
var multiplied = regexp.MustCompile(`( \d+/\d+|: \[.*\])$`)

// pipeline returns the root of the file without its header.
func pipeline(content []byte) *yaml.Node {
	if len(content) > MaxSize {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var root *yaml.Node
	for range maxDocuments {
		var doc yaml.Node
		err := dec.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF):
			return root
		case err != nil || len(doc.Content) != 1:
			return nil
		}
		if root = doc.Content[0]; at(root, "spec") == nil {
			return root
		}
	}
	return root
}

// at goes down a path of keys. Of two equal keys YAML has no answer, and neither
// has at.
func at(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		if n = follow(n); n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var found *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if k := n.Content[i]; k.Kind != yaml.ScalarNode || k.Value != key {
				continue
			}
			if found != nil {
				return nil
			}
			found = n.Content[i+1]
		}
		n = found
	}
	return follow(n)
}

// follow goes from an alias to what it stands for; nothing is ever expanded.
func follow(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// text is a plain string; an input of the file's header is none.
func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag != "!!str" || len(n.Value) > maxText || strings.Contains(n.Value, "$[[") {
		return ""
	}
	return n.Value
}
