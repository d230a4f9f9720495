package manifests

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The limits that hold where Limits says nothing. Those of files are the ones
// that GitLab's agent server had.
const (
	MaxFiles       = 1000
	MaxFileBytes   = 5 << 20
	MaxTotalBytes  = 20 << 20
	MaxObjects     = 10_000
	MaxValues      = 500_000   // of one document, aliases written out
	MaxTotalValues = 3_000_000 // of all documents
	MaxDepth       = 100
	MaxFaults      = 100
)

// Limits bounds what Decode reads; a zero field means the constant of its name.
type Limits struct {
	Files       int
	FileBytes   int
	TotalBytes  int
	Objects     int
	Values      int
	TotalValues int
	Depth       int
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&l.Files, MaxFiles},
		{&l.FileBytes, MaxFileBytes},
		{&l.TotalBytes, MaxTotalBytes},
		{&l.Objects, MaxObjects},
		{&l.Values, MaxValues},
		{&l.TotalValues, MaxTotalValues},
		{&l.Depth, MaxDepth},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return l
}

// File is one manifest file.
type File struct {
	Path    string // as people know it, relative to the repository
	Content []byte
}

// Origin is where an object stands.
type Origin struct {
	File  string
	Line  int // of its first key, from 1
	Index int // among the file's objects, from 0
}

// String is file:line.
func (o Origin) String() string {
	if o.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

// Object is one manifest. Whoever changes Body changes what is applied.
type Object struct {
	Origin Origin
	Body   *unstructured.Unstructured
}

// Fault is one thing wrong with the manifests: where, what and what to do.
type Fault struct {
	Origin Origin
	// Object is Kind namespace/name as far as it is known. Empty means that
	// nobody can tell which object was meant.
	Object string
	// Path is the field, for example .spec.replicas; empty for the whole object.
	Path    string
	Problem string
	Remedy  string
}

// Error is the fault as one line:
// `k8s/app.yaml:12: Deployment shop/web: .metadata.name: ...; do this`.
func (f Fault) Error() string {
	var parts []string
	for _, p := range []string{f.Origin.String(), f.Object, f.Path, f.Problem} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	text := strings.Join(parts, ": ")
	if f.Remedy != "" {
		text += "; " + f.Remedy
	}
	return text
}

// Describe is how messages name an object: Kind namespace/name.
func Describe(kind, namespace, name string) string {
	if namespace != "" {
		name = namespace + "/" + name
	}
	return strings.TrimSpace(kind + " " + name)
}
