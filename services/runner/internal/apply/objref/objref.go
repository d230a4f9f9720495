package objref

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Ref names one object. The version is no part of it: the same object is served
// in several.
type Ref struct {
	Group, Kind, Namespace, Name string
}

// GroupKind is the object's kind.
func (r Ref) GroupKind() schema.GroupKind { return schema.GroupKind{Group: r.Group, Kind: r.Kind} }

// String is Kind namespace/name, with the group where there is one.
func (r Ref) String() string {
	kind := r.Kind
	if r.Group != "" {
		kind += "." + r.Group
	}
	if r.Namespace != "" {
		return kind + " " + r.Namespace + "/" + r.Name
	}
	return kind + " " + r.Name
}

// separator stands between the parts of a key; colons, which the names of RBAC
// objects may hold and keys of a ConfigMap may not, are written as two of it.
const (
	separator = "_"
	colon     = "__"
)

// Key is the ref as a key of an inventory, in the format of cli-utils:
// namespace_name_group_kind.
func (r Ref) Key() string {
	return strings.Join([]string{r.Namespace, strings.ReplaceAll(r.Name, ":", colon), r.Group, r.Kind}, separator)
}

// ParseKey reads a key of an inventory.
func ParseKey(key string) (Ref, error) {
	bad := func() (Ref, error) {
		return Ref{}, fmt.Errorf("%q is not namespace_name_group_kind", key)
	}
	namespace, rest, ok := strings.Cut(key, separator)
	if !ok {
		return bad()
	}
	at := strings.LastIndex(rest, separator)
	if at < 0 {
		return bad()
	}
	kind, rest := rest[at+1:], rest[:at]
	if at = strings.LastIndex(rest, separator); at < 0 {
		return bad()
	}
	r := Ref{Namespace: namespace, Name: strings.ReplaceAll(rest[:at], colon, ":"), Group: rest[at+1:], Kind: kind}
	if r.Name == "" || r.Kind == "" || strings.Contains(r.Name, separator) {
		return bad()
	}
	return r, nil
}

// ParsePath reads a reference as the annotation config.kubernetes.io/depends-on
// has it: group/namespaces/NAMESPACE/KIND/NAME or group/KIND/NAME, with an empty
// group for the core API.
func ParsePath(text string) (Ref, error) {
	parts := strings.Split(strings.TrimSpace(text), "/")
	var r Ref
	switch {
	case len(parts) == 3:
		r = Ref{Group: parts[0], Kind: parts[1], Name: parts[2]}
	case len(parts) == 5 && parts[1] == "namespaces" && parts[2] != "":
		r = Ref{Group: parts[0], Namespace: parts[2], Kind: parts[3], Name: parts[4]}
	}
	if r.Kind == "" || r.Name == "" {
		return Ref{}, fmt.Errorf("%q is neither group/namespaces/NAMESPACE/KIND/NAME nor group/KIND/NAME", text)
	}
	return r, nil
}
