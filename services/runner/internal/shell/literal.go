package shell

import (
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// literals quotes what a backslash quotes, in the words that the interpreter takes
// as they are: values that are assigned, names of files, the texts of ${name:-text}.
// It would keep the backslash. In quotes, ${name:-'x'} keeps the inner ones.
func (f *fitter) literals(file *syntax.File) {
	quoted := map[*syntax.ParamExp]bool{}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.DblQuoted:
			markQuoted(quoted, node.Parts)
		case *syntax.Redirect:
			if node.Hdoc != nil {
				markQuoted(quoted, node.Hdoc.Parts)
			}
			if node.Op != syntax.Hdoc && node.Op != syntax.DashHdoc {
				f.literal(node.Word)
			}
		case *syntax.Assign:
			if node.Name != nil {
				f.literal(node.Value)
			}
		case *syntax.ArrayElem:
			if node.Index != nil {
				f.literal(node.Value)
			}
		case *syntax.CaseClause:
			f.literal(node.Word)
		case *syntax.ParamExp:
			f.text(node, quoted[node])
		}
		return true
	})
}

func markQuoted(quoted map[*syntax.ParamExp]bool, parts []syntax.WordPart) {
	for _, part := range parts {
		if p, ok := part.(*syntax.ParamExp); ok {
			quoted[p] = true
			if p.Exp != nil && p.Exp.Word != nil {
				markQuoted(quoted, p.Exp.Word.Parts)
			}
		}
	}
}

// text is literal for what follows an operator that is about a text.
func (f *fitter) text(p *syntax.ParamExp, quoted bool) {
	kind := operatorKind(p)
	switch {
	case kind == "" || kind == "@" || p.Exp.Word == nil:
	case quoted:
		f.innerQuotes(p.Exp.Word)
	default:
		f.literal(p.Exp.Word)
	}
}

// literal quotes what a backslash quotes in a word.
func (f *fitter) literal(word *syntax.Word) {
	if word == nil {
		return
	}
	var out []syntax.WordPart
	for _, part := range word.Parts {
		if lit, ok := part.(*syntax.Lit); ok && strings.Contains(lit.Value, `\`) {
			out, f.changed = append(out, unescapedParts(lit)...), true
			continue
		}
		out = append(out, part)
	}
	word.Parts = out
}

// unescapedParts are a literal with quotes in the place of its backslashes.
func unescapedParts(lit *syntax.Lit) []syntax.WordPart {
	var out []syntax.WordPart
	for text := lit.Value; ; {
		before, after, _ := strings.Cut(text, `\`)
		if before != "" {
			out = append(out, &syntax.Lit{ValuePos: lit.ValuePos, ValueEnd: lit.ValueEnd, Value: before})
		}
		if after == "" {
			return out
		}
		_, size := utf8.DecodeRuneInString(after)
		if after[:size] != "\n" {
			out = append(out, character(lit, after[:size]))
		}
		text = after[size:]
	}
}

// character is one quoted character.
func character(lit *syntax.Lit, text string) syntax.WordPart {
	if text == "'" {
		return &syntax.DblQuoted{Left: lit.ValuePos, Right: lit.ValueEnd, Parts: []syntax.WordPart{&syntax.Lit{ValuePos: lit.ValuePos, ValueEnd: lit.ValueEnd, Value: text}}}
	}
	return &syntax.SglQuoted{Left: lit.ValuePos, Right: lit.ValueEnd, Value: text}
}

// innerQuotes makes quotes of a word that is in quotes itself a part of the text,
// in which expansions count, and has backslashes quote what they quote there.
func (f *fitter) innerQuotes(word *syntax.Word) {
	for i, part := range word.Parts {
		if lit, ok := part.(*syntax.Lit); ok && strings.Contains(lit.Value, `\`) {
			text := &syntax.Lit{ValuePos: lit.ValuePos, ValueEnd: lit.ValueEnd, Value: strings.ReplaceAll(lit.Value, `\}`, "}")}
			word.Parts[i], f.changed = &syntax.DblQuoted{Left: lit.ValuePos, Right: lit.ValueEnd, Parts: []syntax.WordPart{text}}, true
			continue
		}
		quotes, ok := part.(*syntax.SglQuoted)
		if !ok || quotes.Dollar {
			continue
		}
		inner, err := syntax.NewParser().Document(strings.NewReader("'" + quotes.Value + "'"))
		if err != nil {
			continue
		}
		word.Parts[i], f.changed = &syntax.DblQuoted{Left: quotes.Left, Right: quotes.Right, Parts: inner.Parts}, true
	}
}
