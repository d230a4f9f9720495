package agentconfig

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

func (r reader) entries(kind Kind, key string, n *yaml.Node) []Entry {
	var out []Entry
	for i, e := range r.items(n) {
		if i == MaxEntries {
			break
		}
		out = append(out, r.entry(kind, key+"["+strconv.Itoa(i)+"]", e))
	}
	return out
}

func (r reader) entry(kind Kind, key string, n *yaml.Node) Entry {
	f := r.fields(n)
	e := Entry{
		Kind: kind, ID: word(f["id"]), DefaultNamespace: word(f["default_namespace"]),
		Environments:          r.texts(f["environments"].node),
		ProtectedBranchesOnly: yes(f["protected_branches_only"]),
		AccessAs:              AccessAs{Mode: AsAgent},
		File:                  r.c.file, Line: n.Line, Column: n.Column, Key: key,
	}
	if n := f["resource_management"].node; n != nil {
		e.ResourceManagement = yes(r.fields(n)["enabled"])
	}
	if n := f["access_as"].node; n != nil {
		e.AccessAs = r.accessAs(n)
	}
	return e
}

func (r reader) accessAs(n *yaml.Node) AccessAs {
	f := r.fields(n)
	switch {
	case f["ci_job"].node != nil:
		return AccessAs{Mode: AsCIJob}
	case f["impersonate"].node != nil:
		return AccessAs{Mode: AsImpersonate, Impersonate: r.impersonate(f["impersonate"].node)}
	default:
		return AccessAs{Mode: AsAgent}
	}
}

func (r reader) impersonate(n *yaml.Node) *Impersonate {
	f := r.fields(n)
	out := &Impersonate{Username: word(f["username"]), UID: word(f["uid"]), Groups: r.texts(f["groups"].node)}
	for _, e := range r.items(f["extra"].node) {
		x := r.fields(e)
		out.Extra = append(out.Extra, Extra{Key: word(x["key"]), Val: r.texts(x["val"].node)})
	}
	return out
}

func (r reader) userAccess(n *yaml.Node) *UserAccess {
	f := r.fields(n)
	out := &UserAccess{}
	ids := func(n *yaml.Node) (ids []string) {
		for _, e := range r.items(n) {
			if len(ids) == MaxEntries {
				break
			}
			ids = append(ids, word(r.fields(e)["id"]))
		}
		return ids
	}
	out.Projects, out.Groups = ids(f["projects"].node), ids(f["groups"].node)
	if n := f["access_as"].node; n != nil {
		out.AsUser = r.fields(n)["user"].node != nil
	}
	return out
}
