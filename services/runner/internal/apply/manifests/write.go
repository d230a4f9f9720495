package manifests

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// writer turns nodes into the values of a Kubernetes object and counts them.
type writer struct {
	limits     Limits
	file       Origin
	offset     int // of the document's lines
	left, used int
}

// nodeFault is what is wrong at one node.
type nodeFault struct {
	line            int
	problem, remedy string
	tooLarge        bool
}

func (w *writer) fault(n *yaml.Node, problem, remedy string) *nodeFault {
	return &nodeFault{line: w.offset + n.Line, problem: problem, remedy: remedy}
}

// value writes a node out: aliases become copies, so that changing one place of
// an object never changes another.
func (w *writer) value(n *yaml.Node, depth int) (any, *nodeFault) {
	n, f := w.enter(n, depth)
	if f != nil {
		return nil, f
	}
	switch n.Kind {
	case yaml.ScalarNode:
		v, problem := scalar(n)
		if problem != "" {
			return nil, w.fault(n, problem, "put it in quotes if it is a text")
		}
		return v, nil
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, e := range n.Content {
			v, f := w.value(e, depth+1)
			if f != nil {
				return nil, f
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		return w.mapping(n, depth)
	default:
		return nil, w.fault(n, "not a value", "")
	}
}

// enter follows aliases and counts the visit.
func (w *writer) enter(n *yaml.Node, depth int) (*yaml.Node, *nodeFault) {
	if depth > w.limits.Depth {
		return nil, w.fault(n, fmt.Sprintf("nested deeper than %d levels", w.limits.Depth), "no Kubernetes object is that deep")
	}
	at := n
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if w.used++; w.used > w.left {
		f := w.fault(at, fmt.Sprintf("over %d values once its aliases are written out", w.limits.Values), "use fewer aliases (*name)")
		f.tooLarge = true
		return nil, f
	}
	return n, nil
}

func (w *writer) mapping(n *yaml.Node, depth int) (any, *nodeFault) {
	out := make(map[string]any, len(n.Content)/2)
	lines := make(map[string]int, len(n.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, e := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.Value == "<<" && k.ShortTag() == "!!merge" {
			merges = append(merges, e)
			continue
		}
		name, f := w.key(k)
		if f != nil {
			return nil, f
		}
		if first, twice := lines[name]; twice {
			return nil, w.fault(k, strconv.Quote(name)+" is given twice", "it is in line "+strconv.Itoa(first)+", too; keep one")
		}
		lines[name] = w.offset + k.Line
		if out[name], f = w.value(e, depth+1); f != nil {
			return nil, f
		}
	}
	for _, m := range merges {
		if f := w.merge(out, m, depth+1); f != nil {
			return nil, f
		}
	}
	return out, nil
}

func (w *writer) key(k *yaml.Node) (string, *nodeFault) {
	for k.Kind == yaml.AliasNode {
		k = k.Alias
	}
	if k.Kind != yaml.ScalarNode {
		return "", w.fault(k, "a key that is not a word", "write a plain word in front of the colon")
	}
	v, problem := scalar(k)
	if problem != "" {
		return "", w.fault(k, "key: "+problem, "")
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	}
	return "", w.fault(k, "the key "+strconv.Quote(k.Value)+" is not a text", "put it in quotes")
}

// merge adds what a merge key (<<) brings in and is not there yet.
func (w *writer) merge(out map[string]any, n *yaml.Node, depth int) *nodeFault {
	target, f := w.enter(n, depth)
	if f != nil {
		return f
	}
	switch target.Kind {
	case yaml.MappingNode:
		v, f := w.mapping(target, depth)
		if f != nil {
			return f
		}
		for name, value := range v.(map[string]any) {
			if _, there := out[name]; !there {
				out[name] = value
			}
		}
		return nil
	case yaml.SequenceNode:
		for _, e := range target.Content {
			if f := w.merge(out, e, depth+1); f != nil {
				return f
			}
		}
		return nil
	default:
		return w.fault(n, "a merge key (<<) takes mappings", "")
	}
}
