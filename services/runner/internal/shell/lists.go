package shell

import "mvdan.cc/sh/v3/syntax"

// lists gives each list in the words of a command quotes of its own: in
//
//	"text $@ text"
//
// the interpreter would make one word of all. It becomes "text ""$@"" text".
func (f *fitter) lists(file *syntax.File) {
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.CallExpr:
			for _, word := range node.Args {
				f.listed(word)
			}
		case *syntax.WordIter:
			for _, word := range node.Items {
				f.listed(word)
			}
		case *syntax.ArrayElem:
			if node.Index == nil && node.Value != nil {
				f.listed(node.Value)
			}
		}
		return true
	})
}

func (f *fitter) listed(word *syntax.Word) {
	var out []syntax.WordPart
	for _, part := range word.Parts {
		switch part := part.(type) {
		case *syntax.DblQuoted:
			out = append(out, f.quotedLists(part)...)
			continue
		case *syntax.ParamExp:
			if list := listIfSet(part); list != nil {
				out, f.changed = append(out, list), true
				continue
			}
		}
		out = append(out, part)
	}
	word.Parts = out
}

// quotedLists are quotes with the lists in them apart. A list that has a text for
// the case that it is empty becomes the list and, in the quotes after it, the text.
func (f *fitter) quotedLists(quoted *syntax.DblQuoted) []syntax.WordPart {
	alone := len(quoted.Parts) == 1
	var out, rest []syntax.WordPart
	flush := func() {
		if len(rest) > 0 {
			out = append(out, &syntax.DblQuoted{Left: quoted.Left, Right: quoted.Right, Dollar: quoted.Dollar, Parts: rest})
		}
		rest = nil
	}
	for _, part := range quoted.Parts {
		p, ok := part.(*syntax.ParamExp)
		switch {
		case !ok || !isList(p) && !alone:
			rest = append(rest, part)
			continue
		case !isList(p):
			if isJoined(p) && asksWhether(p) { // alone, it would be taken for its elements
				f.changed = true
				return []syntax.WordPart{&syntax.DblQuoted{Left: quoted.Left, Right: quoted.Right, Parts: []syntax.WordPart{p, nothing()}}}
			}
			return []syntax.WordPart{quoted}
		case alone && !asksWhether(p):
			return []syntax.WordPart{quoted}
		}
		f.changed = true
		lists, text := elementsOf(p)
		for _, list := range lists {
			flush()
			out = append(out, &syntax.DblQuoted{Left: quoted.Left, Right: quoted.Right, Parts: []syntax.WordPart{list}})
		}
		if text != nil {
			rest = append(rest, text, nothing())
		}
	}
	if flush(); len(out) == 0 {
		return []syntax.WordPart{quoted}
	}
	return out
}

// elementsOf are the lists that a list with an operator stands for, of which one at
// most has elements, and the text that it is otherwise.
func elementsOf(p *syntax.ParamExp) (lists []*syntax.ParamExp, text *syntax.ParamExp) {
	kind := operatorKind(p)
	if !asksWhether(p) {
		return []*syntax.ParamExp{p}, nil
	}
	inner := soleList(p.Exp.Word)
	switch {
	case kind == "+" && inner != nil:
		return []*syntax.ParamExp{inner}, nil
	case kind == "+":
		return nil, p
	}
	plain := *p
	plain.Exp = &syntax.Expansion{Op: syntax.DefaultUnset} // without effect but under nounset
	word := p.Exp.Word
	switch fails := p.Exp.Op == syntax.ErrorUnset || p.Exp.Op == syntax.ErrorUnsetOrNull; {
	case fails || kind == "=":
		word = &syntax.Word{Parts: []syntax.WordPart{p}}
	case inner != nil && isBare(inner):
		return []*syntax.ParamExp{&plain, unlessAny(p, inner)}, nil
	case word == nil:
		word = &syntax.Word{Parts: []syntax.WordPart{nothing()}}
	}
	return []*syntax.ParamExp{&plain}, lazily(p, word)
}

// unlessAny is a list, or none when p has elements: it begins far behind its end then.
func unlessAny(p, list *syntax.ParamExp) *syntax.ParamExp {
	first, from := *p, *list
	first.Exp, first.Short, from.Short = &syntax.Expansion{Op: syntax.AlternateUnsetOrNull, Word: literalWord("99999999")}, false, false
	offset := []syntax.WordPart{&first}
	if list.Param.Value == "@" {
		offset = []syntax.WordPart{&syntax.Lit{Value: "1"}, &first}
	}
	from.Slice = &syntax.Slice{Offset: &syntax.Word{Parts: offset}}
	return &from
}

func isBare(p *syntax.ParamExp) bool {
	return !p.Excl && p.Slice == nil && p.Repl == nil && p.Exp == nil && p.Names == 0
}

// nothing is an expansion that is empty.
func nothing() *syntax.ParamExp {
	return &syntax.ParamExp{Param: &syntax.Lit{Value: emptyVariable}}
}

// isList says whether an expansion in quotes is several words.
func isList(p *syntax.ParamExp) bool {
	if p.Param == nil || p.Length {
		return false
	}
	return p.Param.Value == "@" || p.Names == syntax.NamesPrefixWords || indexLit(p) == "@"
}

// isJoined says whether an expansion in quotes is one word of all elements.
func isJoined(p *syntax.ParamExp) bool {
	return p.Param != nil && !p.Length && !p.Excl && (p.Param.Value == "*" || indexLit(p) == "*")
}

func indexLit(p *syntax.ParamExp) string {
	if word, ok := p.Index.(*syntax.Word); ok {
		return word.Lit()
	}
	return ""
}

// soleList is the list that a word is, nil if it is another one.
func soleList(word *syntax.Word) *syntax.ParamExp {
	if word == nil || len(word.Parts) != 1 {
		return nil
	}
	part := word.Parts[0]
	if quoted, ok := part.(*syntax.DblQuoted); ok && len(quoted.Parts) == 1 {
		part = quoted.Parts[0]
	}
	if p, ok := part.(*syntax.ParamExp); ok && isList(p) && !asksWhether(p) {
		return p
	}
	return nil
}

// listIfSet is "${name[@]}" for ${name[@]+"${name[@]}"}, and "$@" for ${1+"$@"}: out
// of quotes the interpreter would take the elements apart at blanks.
func listIfSet(p *syntax.ParamExp) syntax.WordPart {
	if p.Param == nil || p.Length || p.Excl || operatorKind(p) != "+" || p.Exp.Word == nil || len(p.Exp.Word.Parts) != 1 {
		return nil
	}
	quoted, ok := p.Exp.Word.Parts[0].(*syntax.DblQuoted)
	list := soleList(p.Exp.Word)
	if !ok || list == nil || list.Excl {
		return nil
	}
	name, whole := p.Param.Value, isAll(p.Index) || p.Param.Value == "@" || p.Param.Value == "*"
	switch {
	case p.Exp.Op == syntax.AlternateUnsetOrNull && !whole:
		return nil
	case list.Param.Value == "@" && (name == "1" || name == "@" || name == "*"):
	case list.Param.Value == name && indexLit(list) == "@":
	default:
		return nil
	}
	return quoted
}
