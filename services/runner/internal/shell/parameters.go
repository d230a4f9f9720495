package shell

import (
	"strconv"

	"mvdan.cc/sh/v3/syntax"
)

// parts puts line numbers in the place of $LINENO, and commands in that of what
// only they know.
func (f *fitter) parts(parts []syntax.WordPart) {
	for i, part := range parts {
		if q, ok := part.(*syntax.DblQuoted); ok && len(q.Parts) == 1 {
			if p, ok := q.Parts[0].(*syntax.ParamExp); ok && isStatusList(p) {
				part = p // each a word of its own, also in quotes
			}
		}
		p, ok := part.(*syntax.ParamExp)
		switch {
		case !ok || p.Param == nil:
			continue
		case isPlain(p, "LINENO") && f.event != "ERR":
			parts[i] = &syntax.Lit{Value: strconv.FormatUint(uint64(f.reader.line(f.offset+p.Pos().Line())), 10)}
		case isPlain(p, "SECONDS"):
			parts[i] = &syntax.CmdSubst{Stmts: []*syntax.Stmt{command(secondsCommand)}}
		case p.Length && p.Index != nil && f.reader.maps[p.Param.Value]:
			parts[i] = count(p.Param.Value)
		case p.Param.Value == "PIPESTATUS":
			parts[i] = pipeStatusOf(p)
		default:
			continue
		}
		f.changed = true
	}
}

// count is $(__towline_count "${!name[@]}"): the interpreter takes a map for
// one element.
func count(name string) syntax.WordPart {
	keys := &syntax.ParamExp{Excl: true, Param: &syntax.Lit{Value: name}, Index: &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: "@"}}}}
	call := command(countCommand)
	words := call.Cmd.(*syntax.CallExpr)
	words.Args = append(words.Args, &syntax.Word{Parts: []syntax.WordPart{&syntax.DblQuoted{Parts: []syntax.WordPart{keys}}}})
	return &syntax.CmdSubst{Stmts: []*syntax.Stmt{call}}
}

func (f *fitter) replace(parts []syntax.WordPart, name, value string) {
	for i, part := range parts {
		if p, ok := part.(*syntax.ParamExp); ok && isPlain(p, name) {
			parts[i] = &syntax.Lit{Value: value}
			f.changed = true
		}
	}
}

// isPlain says whether p is $name or ${name[0]} and no more.
func isPlain(p *syntax.ParamExp, name string) bool {
	return p.Param != nil && p.Param.Value == name && first(p.Index) && !p.Excl && !p.Length && !p.Width &&
		p.Slice == nil && p.Repl == nil && p.Exp == nil && p.Names == 0
}

func first(index syntax.ArithmExpr) bool {
	if index == nil {
		return true
	}
	word, ok := index.(*syntax.Word)
	return ok && word.Lit() == "0"
}

// parameter points $! and ${BASH_SOURCE[0]} to the variables that have them.
func (f *fitter) parameter(p *syntax.ParamExp) {
	f.required(p)
	switch {
	case p.Param == nil:
	case f.event == "ERR" && p.Param.Value == "LINENO":
		p.Param.Value, p.Short, f.changed = lineVariable, false, true
	case p.Param.Value == "!":
		p.Param.Value, p.Short, f.changed = lastVariable, false, true
	case p.Param.Value == "BASH_SOURCE" && first(p.Index) && f.source != "":
		if f.sourced == "" {
			f.reader.sources++
			f.sourced = sourceVariable + strconv.Itoa(f.reader.sources)
		}
		p.Param.Value, p.Short, p.Index, f.changed = f.sourced, false, nil, true
	}
}
