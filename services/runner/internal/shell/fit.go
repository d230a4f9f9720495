package shell

import (
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Names that fitted scripts use. Variables of these names are never exported.
const (
	jobVariable    = "__towline_job"     // the background command that a subshell belongs to
	lastVariable   = "__towline_last"    // what $! is
	sourceVariable = "__towline_source_" // and a number: what BASH_SOURCE is in one file
	forkCommand    = "__towline_fork"    // before each background command: gives it its number
	doneCommand    = "__towline_done"    // after it: tells its exit code
	countCommand   = "__towline_count"   // prints how many arguments it has
)

// fit changes a text to make the interpreter behave as bash does:
//
//   - a background command gets a number, so that kill, wait and jobs know it:
//     `a &` becomes `__towline_fork 0; { (__towline_job=$__towline_last; a) || __towline_done; __towline_done; } &`,
//     and $! becomes that number;
//   - the last command of a pipeline runs in a subshell, where it can change
//     nothing of the shell itself;
//   - $LINENO, ${BASH_SOURCE[0]} and ${FUNCNAME[0]} become what they stand for;
//   - ${#map[@]} counts the keys, and the quoted words of let are read as such.
//
// It says whether it has changed anything.
func (r *reader) fit(file *syntax.File, source string) bool {
	f := &fitter{reader: r, source: source}
	f.block(&file.Stmts)
	syntax.Walk(file, f.node)
	if f.sourced != "" {
		file.Stmts = append([]*syntax.Stmt{assign(f.sourced, quotedWord(source))}, file.Stmts...)
	}
	return f.changed
}

type fitter struct {
	reader  *reader
	source  string
	sourced string // the variable for source, when it is used
	changed bool
}

// node is called for every node before its children.
func (f *fitter) node(node syntax.Node) bool {
	switch node := node.(type) {
	case *syntax.Block:
		f.block(&node.Stmts)
	case *syntax.Subshell:
		f.block(&node.Stmts)
	case *syntax.CmdSubst:
		f.block(&node.Stmts)
	case *syntax.ProcSubst:
		f.block(&node.Stmts)
	case *syntax.IfClause:
		f.block(&node.Cond)
		f.block(&node.Then)
	case *syntax.WhileClause:
		f.block(&node.Cond)
		f.block(&node.Do)
	case *syntax.ForClause:
		f.block(&node.Do)
	case *syntax.CaseItem:
		f.block(&node.Stmts)
	case *syntax.BinaryCmd:
		f.pipe(node)
	case *syntax.FuncDecl:
		f.function(node)
	case *syntax.ParamExp:
		f.parameter(node)
	case *syntax.DeclClause:
		f.declare(node)
	case *syntax.LetClause:
		f.let(node)
	case *syntax.Word:
		f.parts(node.Parts)
	case *syntax.DblQuoted:
		f.parts(node.Parts)
	}
	return true
}

// block gives the background commands of a list their numbers.
func (f *fitter) block(stmts *[]*syntax.Stmt) {
	var out []*syntax.Stmt
	for i, st := range *stmts {
		if !st.Background && !st.Disown {
			if out != nil {
				out = append(out, st)
			}
			continue
		}
		if out == nil {
			out = append(out, (*stmts)[:i]...)
		}
		before, background := f.background(st)
		out = append(out, before, background)
	}
	if out != nil {
		*stmts, f.changed = out, true
	}
}

func (f *fitter) background(st *syntax.Stmt) (before, background *syntax.Stmt) {
	if isFitted(st) {
		return &syntax.Stmt{Position: st.Position}, st
	}
	plain := *st
	plain.Background, plain.Disown = false, false
	number := len(f.reader.forked)
	f.reader.forked = append(f.reader.forked, oneLine(printed(&plain)))
	identity := assign(jobVariable, &syntax.Word{Parts: []syntax.WordPart{parameter(lastVariable)}})
	inner := &syntax.Stmt{Position: st.Position, Cmd: &syntax.Subshell{Lparen: st.Position, Stmts: []*syntax.Stmt{identity, &plain}}}
	body := []*syntax.Stmt{
		{Position: st.Position, Cmd: &syntax.BinaryCmd{OpPos: st.Position, Op: syntax.OrStmt, X: inner, Y: command(doneCommand)}},
		command(doneCommand),
	}
	return command(forkCommand, strconv.Itoa(number)), &syntax.Stmt{
		Position: st.Position, Background: true, Cmd: &syntax.Block{Lbrace: st.Position, Stmts: body},
	}
}

// isFitted recognises what background has made.
func isFitted(st *syntax.Stmt) bool {
	block, ok := st.Cmd.(*syntax.Block)
	if !ok || len(block.Stmts) != 2 {
		return false
	}
	call, ok := block.Stmts[1].Cmd.(*syntax.CallExpr)
	return ok && len(call.Args) == 1 && call.Args[0].Lit() == doneCommand
}

const maxJobText = 200 // of a line of jobs, in bytes

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return text[:min(len(text), maxJobText)]
}

// pipe puts the right side of a pipeline into a subshell. A command that is
// none of the shell's own changes nothing, and needs none.
func (f *fitter) pipe(b *syntax.BinaryCmd) {
	if b.Op != syntax.Pipe && b.Op != syntax.PipeAll {
		return
	}
	switch cmd := b.Y.Cmd.(type) {
	case *syntax.BinaryCmd:
		if cmd.Op == syntax.Pipe || cmd.Op == syntax.PipeAll {
			return // its own right side is
		}
	case *syntax.Subshell:
		return
	case *syntax.CallExpr:
		if len(cmd.Args) > 0 && harmless(cmd.Args[0].Lit()) {
			return
		}
	}
	b.Y = &syntax.Stmt{Position: b.Y.Position, Cmd: &syntax.Subshell{Lparen: b.Y.Position, Stmts: []*syntax.Stmt{b.Y}}}
	f.changed = true
}

// harmless commands are the ones most often at the end of a pipeline.
func harmless(name string) bool {
	switch name {
	case "kubectl", "helm", "jq", "yq", "grep", "sed", "awk", "sort", "uniq", "head", "tail", "wc", "tr", "cut", "tee", "cat", "xargs", "base64":
		return !interp.IsBuiltin(name)
	}
	return false
}

func (f *fitter) function(fn *syntax.FuncDecl) {
	if fn.Name == nil {
		return
	}
	f.reader.functions[fn.Name.Value] = true
	syntax.Walk(fn.Body, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.FuncDecl:
			return false
		case *syntax.Word:
			f.replace(node.Parts, "FUNCNAME", fn.Name.Value)
		case *syntax.DblQuoted:
			f.replace(node.Parts, "FUNCNAME", fn.Name.Value)
		}
		return true
	})
}

// parts puts line numbers in the place of $LINENO.
func (f *fitter) parts(parts []syntax.WordPart) {
	for i, part := range parts {
		if p, ok := part.(*syntax.ParamExp); ok && isPlain(p, "LINENO") {
			parts[i] = &syntax.Lit{Value: strconv.FormatUint(uint64(f.reader.line(p.Pos().Line())), 10)}
			f.changed = true
		} else if ok && p.Length && p.Param != nil && p.Index != nil && f.reader.maps[p.Param.Value] {
			parts[i] = count(p.Param.Value)
			f.changed = true
		}
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

// declare remembers the names of associative arrays.
func (f *fitter) declare(d *syntax.DeclClause) {
	isMap := false
	for _, arg := range d.Args {
		switch {
		case arg.Name == nil && arg.Value != nil && strings.HasPrefix(arg.Value.Lit(), "-"):
			isMap = isMap || strings.Contains(arg.Value.Lit(), "A")
		case arg.Name != nil && isMap:
			f.reader.maps[arg.Name.Value] = true
		}
	}
}

// let reads quoted expressions, which the interpreter takes for the names of
// variables.
func (f *fitter) let(l *syntax.LetClause) {
	for i, expr := range l.Exprs {
		word, ok := expr.(*syntax.Word)
		if !ok || len(word.Parts) != 1 {
			continue
		}
		text := ""
		switch part := word.Parts[0].(type) {
		case *syntax.SglQuoted:
			text = part.Value
		case *syntax.DblQuoted:
			text = strings.Trim(printed(&syntax.Word{Parts: []syntax.WordPart{part}}), `"`)
		}
		file, err := syntax.NewParser().Parse(strings.NewReader("(("+text+"))"), "")
		if text == "" || err != nil || len(file.Stmts) != 1 {
			continue
		}
		if cmd, ok := file.Stmts[0].Cmd.(*syntax.ArithmCmd); ok {
			l.Exprs[i], f.changed = cmd.X, true
		}
	}
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
	switch {
	case p.Param == nil:
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

func parameter(name string) *syntax.ParamExp {
	return &syntax.ParamExp{Short: true, Param: &syntax.Lit{Value: name}}
}

func quotedWord(value string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: value}}}
}

func assign(name string, value *syntax.Word) *syntax.Stmt {
	return &syntax.Stmt{Cmd: &syntax.CallExpr{Assigns: []*syntax.Assign{{Name: &syntax.Lit{Value: name}, Value: value}}}}
}

func command(words ...string) *syntax.Stmt {
	call := &syntax.CallExpr{}
	for _, word := range words {
		call.Args = append(call.Args, &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: word}}})
	}
	return &syntax.Stmt{Cmd: call}
}
