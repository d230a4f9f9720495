package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// decoder reads one set of files.
type decoder struct {
	limits  Limits
	values  int // written out so far, all documents
	objects []Object
	faults  []Fault
	full    bool // a limit of the whole set is reached: nothing more is read
}

// Decode reads the objects of all files in their order. Objects and faults are
// both complete: a fault in one document hides no other document. The objects of
// a list (kind: List) come one by one. After a limit of the whole set nothing
// more is read, and the last fault says so.
func Decode(files []File, limits Limits) ([]Object, []Fault) {
	d := &decoder{limits: limits.withDefaults()}
	if len(files) > d.limits.Files {
		return nil, []Fault{{Problem: fmt.Sprintf("%d files are more than %d", len(files), d.limits.Files), Remedy: "narrow the globs, or make several entries of them"}}
	}
	total := 0
	for _, f := range files {
		if total += len(f.Content); total > d.limits.TotalBytes {
			d.stop(Origin{File: f.Path, Line: 1}, fmt.Sprintf("the manifests are over %s in all", size(d.limits.TotalBytes)), "narrow the globs, or make several entries of them")
			break
		}
		d.file(f)
		if d.full {
			break
		}
	}
	return d.objects, d.faults
}

func (d *decoder) fault(o Origin, problem, remedy string) {
	if len(d.faults) == MaxFaults {
		d.stop(o, fmt.Sprintf("more than %d faults; the rest is not read", MaxFaults), "repair those above first")
		return
	}
	d.faults = append(d.faults, Fault{Origin: o, Problem: problem, Remedy: remedy})
}

func (d *decoder) stop(o Origin, problem, remedy string) {
	if !d.full {
		d.full = true
		d.faults = append(d.faults, Fault{Origin: o, Problem: problem, Remedy: remedy})
	}
}

func (d *decoder) file(f File) {
	at := Origin{File: f.Path, Line: 1}
	if len(f.Content) > d.limits.FileBytes {
		d.fault(at, fmt.Sprintf("%s are over the limit of %s for one file", size(len(f.Content)), size(d.limits.FileBytes)), "split the file")
		return
	}
	content := bytes.TrimPrefix(f.Content, []byte("\ufeff"))
	if !utf8.Valid(content) {
		at.Line = invalidLine(content)
		d.fault(at, "not UTF-8 text", "save the file as UTF-8, or keep it out of the globs")
		return
	}
	index := 0
	for _, doc := range split(content) {
		if d.full {
			return
		}
		at.Line, at.Index = doc.line, index
		before := len(d.objects)
		d.document(at, doc)
		index += len(d.objects) - before
	}
}

func (d *decoder) document(at Origin, doc document) {
	if estimate(doc.text) > d.limits.Values {
		d.fault(at, fmt.Sprintf("a document of over %d values", d.limits.Values), "split it into several objects")
		return
	}
	// A document may hold several after all: "..." ends one, too.
	dec := yaml.NewDecoder(bytes.NewReader(doc.text))
	for !d.full {
		var n yaml.Node
		switch err := dec.Decode(&n); {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			line, problem := syntaxFault(err)
			at.Line = doc.line + line - 1
			d.fault(at, "not valid YAML: "+problem, "")
			return
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
			continue
		}
		before := len(d.objects)
		d.root(at, doc.line-1, n.Content[0])
		at.Index += len(d.objects) - before
	}
}

// root turns one document into objects.
func (d *decoder) root(at Origin, offset int, n *yaml.Node) {
	at.Line = offset + n.Line
	w := &writer{limits: d.limits, file: at, offset: offset, left: min(d.limits.Values, d.limits.TotalValues-d.values)}
	total := w.left < d.limits.Values
	value, fault := w.value(n, 0)
	d.values += w.used
	switch {
	case fault != nil && fault.tooLarge && total:
		d.stop(at, fmt.Sprintf("the manifests hold over %d values in all, aliases written out", d.limits.TotalValues), "make several entries of them")
		return
	case fault != nil:
		at.Line = fault.line
		d.fault(at, fault.problem, fault.remedy)
		return
	case value == nil:
		return // an empty document
	}
	body, ok := value.(map[string]any)
	if !ok {
		d.fault(at, "not a Kubernetes object: a manifest is a mapping with apiVersion, kind and metadata", "keep other files out of the globs")
		return
	}
	lines := itemLines(n, offset)
	d.add(at, body, lines, 0)
}

// maxNested is how deep lists may stand in lists.
const maxNested = 4

// add takes an object, or the objects of a list.
func (d *decoder) add(at Origin, body map[string]any, lines []int, nested int) {
	items, isList := listItems(body)
	if !isList {
		if len(d.objects) == d.limits.Objects {
			d.stop(at, fmt.Sprintf("more than %d objects", d.limits.Objects), "make several entries of them")
			return
		}
		d.objects = append(d.objects, Object{Origin: at, Body: &unstructured.Unstructured{Object: body}})
		return
	}
	if nested == maxNested {
		d.fault(at, "lists nested too deep", "write the objects one after the other, with --- between them")
		return
	}
	for i, item := range items {
		if d.full {
			return
		}
		if i < len(lines) {
			at.Line = lines[i]
		}
		o, ok := item.(map[string]any)
		if !ok {
			d.fault(at, "items["+strconv.Itoa(i)+"] is not an object", "a list holds objects with apiVersion, kind and metadata")
			continue
		}
		before := len(d.objects)
		d.add(at, o, nil, nested+1)
		at.Index += len(d.objects) - before
	}
}

// listItems says whether an object is a list in the sense of kubectl: its kind
// ends in List and it has items. A custom resource may be called so, too; it
// then has no items at its top.
func listItems(body map[string]any) ([]any, bool) {
	kind, _ := body["kind"].(string)
	if kind != "List" && !(len(kind) > 4 && kind[len(kind)-4:] == "List") {
		return nil, false
	}
	items, ok := body["items"].([]any)
	if !ok && kind == "List" {
		return nil, true
	}
	return items, ok
}

// itemLines are the lines in which the items of a list begin.
func itemLines(n *yaml.Node, offset int) []int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "items" || n.Content[i+1].Kind != yaml.SequenceNode {
			continue
		}
		var out []int
		for _, item := range n.Content[i+1].Content {
			out = append(out, offset+item.Line)
		}
		return out
	}
	return nil
}

// estimate is at least how many values the parser makes of a text before
// aliases, within a factor of two: each needs one of these characters.
func estimate(text []byte) int {
	n := 0
	for _, c := range text {
		switch c {
		case '\n', ',', '[', '{', ':', '?':
			n++
		}
	}
	return n
}

var yamlPlace = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func syntaxFault(err error) (line int, problem string) {
	text, line := err.Error(), 1
	if m := yamlPlace.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	return line, text
}

func invalidLine(content []byte) int {
	line := 1
	for len(content) > 0 {
		r, n := utf8.DecodeRune(content)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		content = content[n:]
	}
	return line
}

func size(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	}
	return strconv.Itoa(n) + " bytes"
}
