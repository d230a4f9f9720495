package shell

import "mvdan.cc/sh/v3/syntax"

// Variables that every shell has.
const (
	emptyVariable = "__towline_empty" // is empty
	starVariable  = "__towline_star"  // is *
)

// defaults lets the texts of ${name:-text} and its like be expanded only where it
// is their turn: the interpreter would always expand them, run the commands in
// them and fail for what they miss. It is lazy with what replaces a part of a
// value when the pattern is empty, so that
//
//	${name:-$(command)}
//
// becomes ${name:-${__towline_empty/${__towline_star[0${name:+1}]}/$(command)}}.
func (f *fitter) defaults(file *syntax.File) {
	var found []*syntax.ParamExp
	syntax.Walk(file, func(node syntax.Node) bool {
		if p, ok := node.(*syntax.ParamExp); ok && p.Param != nil && p.Param.Value != noneVariable && asksWhether(p) && expands(p.Exp.Word) {
			found = append(found, p)
		}
		return true
	})
	for _, p := range found {
		p.Exp.Word = &syntax.Word{Parts: []syntax.WordPart{lazily(p, p.Exp.Word)}}
		f.changed = true
	}
}

// asksWhether says whether what p is depends on whether its parameter is set.
func asksWhether(p *syntax.ParamExp) bool {
	kind := operatorKind(p)
	return kind == "-" || kind == "+" || kind == "="
}

// expands says whether a word is more than text.
func expands(word *syntax.Word) bool {
	found := false
	if word != nil {
		syntax.Walk(word, func(node syntax.Node) bool {
			switch node.(type) {
			case *syntax.ParamExp, *syntax.CmdSubst, *syntax.ArithmExp, *syntax.ProcSubst:
				found = true
			}
			return !found
		})
	}
	return found
}

// lazily is text where it is its turn in p, and empty where not.
func lazily(p *syntax.ParamExp, text *syntax.Word) *syntax.ParamExp {
	test := *p
	test.Short = false
	pattern := &test
	switch p.Exp.Op {
	case syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		test.Exp = &syntax.Expansion{Op: p.Exp.Op, Word: literalWord("*")}
	case syntax.DefaultUnset, syntax.AssignUnset, syntax.ErrorUnset:
		test.Exp = &syntax.Expansion{Op: syntax.AlternateUnset, Word: literalWord("1")}
		pattern = starUnless(&test)
	default:
		test.Exp = &syntax.Expansion{Op: syntax.AlternateUnsetOrNull, Word: literalWord("1")}
		pattern = starUnless(&test)
	}
	return &syntax.ParamExp{Dollar: p.Dollar, Rbrace: p.Rbrace, Param: &syntax.Lit{Value: emptyVariable}, Repl: &syntax.Replace{
		Orig: &syntax.Word{Parts: []syntax.WordPart{pattern}}, With: text,
	}}
}

// starUnless is * where test is empty or 0, and empty where it is a number.
func starUnless(test *syntax.ParamExp) *syntax.ParamExp {
	index := &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: "0"}, test}}
	return &syntax.ParamExp{Param: &syntax.Lit{Value: starVariable}, Index: index}
}
