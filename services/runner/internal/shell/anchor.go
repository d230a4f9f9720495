package shell

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/pattern"
	"mvdan.cc/sh/v3/syntax"
)

const (
	anchorCommand  = "__towline_anchor"  // computes ${name/#pattern/text} and ${name/%pattern/text}
	anchorVariable = "__towline_anchor_" // and a number: takes the result
	codeVariable   = "__towline_code"    // what $? was before the command
)

// anchored finds the expansions of a statement that replace at the start or the
// end of a value, which the interpreter does not know. A command before the
// statement computes each, and a variable takes its place.
func (f *fitter) anchored(st *syntax.Stmt) []*syntax.Stmt {
	var found []*syntax.ParamExp
	within(st, func(node syntax.Node) {
		if p, ok := node.(*syntax.ParamExp); ok && anchorOf(p) != "" {
			found = append(found, p)
		}
	})
	var before []*syntax.Stmt
	if len(found) > 0 && f.keepsCode(st) {
		before = append(before, saveCode())
	}
	for _, p := range slices.Backward(found) { // the inner ones first
		before = append(before, f.anchor(st, p))
	}
	return before
}

// within calls fn for the nodes of a statement that are in no statement inside
// of it.
func within(st *syntax.Stmt, fn func(syntax.Node)) {
	syntax.Walk(st, func(node syntax.Node) bool {
		if inner, ok := node.(*syntax.Stmt); ok && inner != st {
			return false
		}
		if node != nil {
			fn(node)
		}
		return true
	})
}

// keepsCode points $? of a statement to a variable, for the commands before it
// have codes of their own.
func (f *fitter) keepsCode(st *syntax.Stmt) bool {
	found := false
	within(st, func(node syntax.Node) {
		if p, ok := node.(*syntax.ParamExp); ok && p.Param != nil && p.Param.Value == "?" {
			p.Param, p.Short, found = &syntax.Lit{Value: codeVariable}, false, true
		}
	})
	return found
}

func saveCode() *syntax.Stmt {
	return assign(codeVariable, &syntax.Word{Parts: []syntax.WordPart{parameter("?")}})
}

// anchorOf is "#" or "%" for an expansion that replaces there.
func anchorOf(p *syntax.ParamExp) string {
	if p.Repl == nil || p.Repl.All || p.Repl.Orig == nil || p.Param == nil || p.Excl || p.Length {
		return ""
	}
	if text := literalStart(p.Repl.Orig); strings.HasPrefix(text, "#") || strings.HasPrefix(text, "%") {
		return text[:1]
	}
	return ""
}

// anchor makes the command for one expansion and changes that into a plain one.
// The words of the command are the variable, the anchor, the number of parts of
// the pattern, the name of the value, these parts, the text, and the values. A part of the pattern that was
// quoted begins with q, another one with p.
func (f *fitter) anchor(st *syntax.Stmt, p *syntax.ParamExp) *syntax.Stmt {
	f.reader.anchors++
	name, mark := anchorVariable+strconv.Itoa(f.reader.anchors), anchorOf(p)
	parts := slices.Clone(p.Repl.Orig.Parts)
	start := parts[0].(*syntax.Lit)
	parts[0] = &syntax.Lit{Value: start.Value[1:]}
	stmt := command(anchorCommand, name)
	call := stmt.Cmd.(*syntax.CallExpr)
	call.Args = append(call.Args, quotedWord(mark), quotedWord(strconv.Itoa(len(parts))), quotedWord(p.Param.Value))
	for _, part := range parts {
		call.Args = append(call.Args, patternPart(part))
	}
	call.Args = append(call.Args, oneWord(p.Repl.With))
	value := *p
	value.Repl, value.Short = nil, false
	if isAll(value.Index) {
		value.Index = literalWord("@")
	} else if value.Param.Value == "*" {
		value.Param = &syntax.Lit{Value: "@"}
	}
	call.Args = append(call.Args, &syntax.Word{Parts: []syntax.WordPart{&syntax.DblQuoted{Parts: []syntax.WordPart{&value}}}})
	stmt.Position = st.Position
	p.Repl = nil
	switch {
	case p.Param.Value == "@" || p.Param.Value == "*":
		p.Index = literalWord(p.Param.Value)
	case !isAll(p.Index):
		p.Index = nil
	}
	p.Param, p.Short = &syntax.Lit{ValuePos: p.Param.ValuePos, Value: name}, false
	return stmt
}

func literalWord(text string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: text}}}
}

// isAll says whether an index is @ or *.
func isAll(index syntax.ArithmExpr) bool {
	word, ok := index.(*syntax.Word)
	return ok && (word.Lit() == "@" || word.Lit() == "*")
}

func patternPart(part syntax.WordPart) *syntax.Word {
	kind := "p"
	switch quoted := part.(type) {
	case *syntax.Lit:
		return &syntax.Word{Parts: quotedParts(kind + quoted.Value)}
	case *syntax.SglQuoted, *syntax.DblQuoted:
		kind = "q"
	default:
		part = &syntax.DblQuoted{Parts: []syntax.WordPart{part}}
	}
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: kind}, part}}
}

// quotedParts quotes a text that may have quotes itself.
func quotedParts(text string) []syntax.WordPart {
	var out []syntax.WordPart
	for i, piece := range strings.Split(text, "'") {
		if i > 0 {
			out = append(out, &syntax.Lit{Value: `\'`})
		}
		out = append(out, &syntax.SglQuoted{Value: piece})
	}
	return out
}

var escaped = regexp.MustCompile(`(?s)\\(.)`)

// oneWord makes a word that expands to one argument.
func oneWord(word *syntax.Word) *syntax.Word {
	out := &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{}}}
	if word == nil {
		return out
	}
	for i, part := range word.Parts {
		switch quoted := part.(type) {
		case *syntax.Lit:
			if i == 0 && (quoted.Value == "~" || strings.HasPrefix(quoted.Value, "~/")) {
				home := &syntax.ParamExp{Param: &syntax.Lit{Value: "HOME"}}
				out.Parts = append(out.Parts, &syntax.DblQuoted{Parts: []syntax.WordPart{home}})
				quoted = &syntax.Lit{Value: quoted.Value[1:]}
			}
			out.Parts = append(out.Parts, quotedParts(escaped.ReplaceAllString(quoted.Value, "$1"))...)
			continue
		case *syntax.SglQuoted, *syntax.DblQuoted:
		default:
			part = &syntax.DblQuoted{Parts: []syntax.WordPart{part}}
		}
		out.Parts = append(out.Parts, part)
	}
	return out
}

// anchor is the command.
func (s *session) anchor(ctx context.Context, hc interp.HandlerContext, args []string) int {
	name, mark := args[0], args[1]
	count, _ := strconv.Atoi(args[2])
	const fixed = 4
	value, parts, args := args[3], args[fixed:fixed+count], args[fixed+count:]
	text := ""
	for _, part := range parts {
		if part[0] == 'q' {
			text += pattern.QuoteMeta(part[1:], 0)
		} else {
			text += part[1:]
		}
	}
	with, values := args[0], args[1:]
	out := make([]string, len(values))
	for i, value := range values {
		out[i] = quote(value)
	}
	isUnset := syntax.ValidName(value) && !hc.Env.Get(value).IsSet()
	if match := anchoredPattern(mark, text); match != nil && !isUnset {
		for i, value := range values {
			if at := match.FindStringIndex(value); at != nil {
				out[i] = quote(value[:at[0]] + with + value[at[1]:])
			}
		}
	}
	if err := hc.Builtin(ctx, []string{"eval", name + "=(" + strings.Join(out, " ") + ")"}); err != nil {
		return exitFailure
	}
	return 0
}

// anchoredPattern is nil for a pattern that matches nothing.
func anchoredPattern(mark, text string) *regexp.Regexp {
	expr, err := pattern.Regexp(text, 0)
	if err != nil {
		return nil
	}
	if mark == "#" {
		expr = `\A(?:` + expr + `)`
	} else {
		expr = `(?:` + expr + `)\z`
	}
	match, err := regexp.Compile(expr)
	if err != nil {
		return nil
	}
	match.Longest()
	return match
}
