package objref

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
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

// separator stands between the parts of a key. Names of RBAC objects may hold
// what keys of a ConfigMap may not, and the separator: a colon is written as two
// of it, as cli-utils does, and other bytes as _x and two hexadecimal digits.
const (
	separator = "_"
	escape    = "_x"
	rbac      = "rbac.authorization.k8s.io"
)

// Key is the ref as a key of an inventory, in the format of cli-utils:
// namespace_name_group_kind.
func (r Ref) Key() string {
	return strings.Join([]string{r.Namespace, escaped(r.Name), r.Group, r.Kind}, separator)
}

// CheckKey says why the object cannot be named in an inventory.
func (r Ref) CheckKey() error {
	key := r.Key()
	if over := len(key) - validation.DNS1123SubdomainMaxLength; over > 0 {
		return fmt.Errorf("its namespace, name, group and kind are %d characters too long together for the inventory", over)
	}
	if again, err := ParseKey(key); err != nil || again != r || len(validation.IsConfigMapKey(key)) > 0 {
		return errors.New("its namespace, group or kind is no name that Kubernetes allows")
	}
	return nil
}

// plain says whether a byte of a name stands for itself in a key.
func plain(c byte) bool {
	return c == '-' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func escaped(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case plain(c):
			b.WriteByte(c)
		case c == ':':
			b.WriteString(separator + separator)
		default:
			fmt.Fprintf(&b, escape+"%02x", c)
		}
	}
	return b.String()
}

// unescaped reads what escaped writes. With lenient, any other separator stands
// for itself.
func unescaped(text string, lenient bool) (string, bool) {
	var b strings.Builder
	for text != "" {
		rest, isColon := strings.CutPrefix(text, separator+separator)
		c, isEscape := escapedByte(text)
		switch {
		case isColon:
			b.WriteByte(':')
			text = rest
		case isEscape:
			b.WriteByte(c)
			text = text[len(escape)+2:]
		case !plain(text[0]) && (!lenient || text[0] != '_'):
			return "", false
		default:
			b.WriteByte(text[0])
			text = text[1:]
		}
	}
	return b.String(), true
}

// escapedByte reads an escape at the beginning of a text.
func escapedByte(text string) (c byte, ok bool) {
	rest, ok := strings.CutPrefix(text, escape)
	if !ok || len(rest) < 2 || rest[:2] != strings.ToLower(rest[:2]) {
		return 0, false
	}
	n, err := strconv.ParseUint(rest[:2], 16, 8)
	return byte(n), err == nil && !plain(byte(n)) && n != ':'
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
	r := Ref{Namespace: namespace, Group: rest[at+1:], Kind: kind}
	// Earlier versions wrote an underscore as it is.
	if r.Name, ok = unescaped(rest[:at], r.Group == rbac); !ok || r.Name == "" || r.Kind == "" {
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
