package shell

import (
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// ourPrefix begins the names that fitted scripts use.
const ourPrefix = "__towline_"

// Names that fitted scripts use. Variables of these names are never exported.
const (
	jobVariable    = "__towline_job"     // the background command that a subshell belongs to
	lastVariable   = "__towline_last"    // what $! is
	sourceVariable = "__towline_source_" // and a number: what BASH_SOURCE is in one file
	forkCommand    = "__towline_fork"    // before each background command: gives it its number
	doneCommand    = "__towline_done"    // after it: tells its exit code
	countCommand   = "__towline_count"   // prints how many arguments it has
	againCommand   = "__towline_again"   // has the exit code of the command before it
	noneVariable   = "__towline_none"    // is never set
)

// fit changes a text to make the interpreter behave as bash does:
//
//   - a background command gets a number, so that kill, wait and jobs know it:
//     `a &` becomes `__towline_fork 0; { (__towline_job=$__towline_last; a) || __towline_done; __towline_done; } &`,
//     and $! becomes that number;
//   - the last command of a pipeline runs in a subshell, where it can change
//     nothing of the shell itself;
//   - $LINENO, ${BASH_SOURCE[0]} and ${FUNCNAME[0]} become what they stand for;
//   - ${#map[@]} counts the keys, and the quoted words of let are read as such;
//   - a return without a code has that of the command before it, and the
//     backslashes of a text that replaces quote what follows them;
//   - ${!name} becomes an expansion of a variable that stands for the one meant;
//   - what is exempt from errexit does not end the script a level further out,
//     and && in [[ ]] becomes one between tests;
//   - the texts of ${name:-text} are expanded where it is their turn only, and a
//     list beside other text in quotes is several words;
//   - subshells know the function that they belong to;
//   - what the interpreter lacks of expansions, assignments, PIPESTATUS and the
//     exceptions of errexit is put in its place (anchor.go and its neighbours).
//
// It says whether it has changed anything.
func (f *fitter) fit(file *syntax.File, text string) bool {
	sourced := f.source != "" && f.reader.begun
	f.learn(file)
	if f.event == "" {
		f.watch(file, text)
	}
	f.timed(file)
	f.leaving(file)
	f.literals(file)
	f.scoped(file, scope{returns: sourced})
	f.relaxed(file)
	syntax.Walk(file, func(node syntax.Node) bool {
		if st, ok := node.(*syntax.Stmt); ok {
			f.lazy(st)
		}
		return true
	})
	f.list(&file.Stmts)
	syntax.Walk(file, f.node)
	f.lists(file)
	f.defaults(file)
	f.sums(file)
	if f.sourced != "" {
		file.Stmts = append([]*syntax.Stmt{assign(f.sourced, quotedWord(f.source))}, file.Stmts...)
	}
	f.marked(file)
	return f.changed
}

type fitter struct {
	reader  *reader
	source  string
	sourced string              // the variable for source, when it is used
	event   string              // of the trap that the text is of
	offset  uint                // lines before the text
	numbers map[syntax.Node]int // of the commands that say that they begin
	changed bool
	// conditional are the parts of conditions, where errexit has no effect.
	conditional map[syntax.Node]bool
	recording   map[*syntax.BinaryCmd]bool // parts of pipelines whose codes are recorded
	askers      map[string]bool            // functions that begin with the code of what was before
	codeless    map[*syntax.ForClause]bool // loops that need no code any more
}

// node is called for every node before its children.
func (f *fitter) node(node syntax.Node) bool {
	switch node := node.(type) {
	case *syntax.Block:
		f.list(&node.Stmts)
	case *syntax.Subshell:
		f.lenient(node)
		f.list(&node.Stmts)
	case *syntax.CmdSubst:
		f.substitution(node)
		f.list(&node.Stmts)
	case *syntax.ProcSubst:
		f.list(&node.Stmts)
	case *syntax.IfClause:
		f.condition(node.Cond...)
		f.list(&node.Cond)
		f.list(&node.Then)
	case *syntax.WhileClause:
		f.condition(node.Cond...)
		f.list(&node.Cond)
		f.list(&node.Do)
	case *syntax.Stmt:
		f.negated(node)
		f.elements(node)
	case *syntax.Redirect:
		f.redirect(node)
	case *syntax.ForClause:
		f.list(&node.Do)
	case *syntax.CaseItem:
		f.list(&node.Stmts)
	case *syntax.BinaryCmd:
		f.binary(node)
	case *syntax.FuncDecl:
		f.function(node)
	case *syntax.CallExpr:
		f.returned(node)
	case *syntax.ParamExp:
		f.parameter(node)
		f.replacement(node)
	case *syntax.DeclClause:
		f.options(node)
	case *syntax.Assign:
		f.assign(node)
	case *syntax.LetClause:
		f.let(node)
	case *syntax.Word:
		f.parts(node.Parts)
	case *syntax.DblQuoted:
		f.parts(node.Parts)
	default:
		f.expression(node)
	}
	return true
}

// expression is node for what sums and tests consist of.
func (f *fitter) expression(node syntax.Node) {
	switch node := node.(type) {
	case *syntax.UnaryTest:
		f.isSet(node)
	case *syntax.ArithmCmd:
		f.arithm(&node.X)
	case *syntax.ArithmExp:
		f.arithm(&node.X)
	case *syntax.ParenArithm:
		f.arithm(&node.X)
	case *syntax.UnaryArithm:
		f.arithm(&node.X)
	case *syntax.BinaryArithm:
		f.arithm(&node.X)
		f.arithm(&node.Y)
	}
}

// list puts before every statement what must run there, and gives background
// commands their numbers.
func (f *fitter) list(stmts *[]*syntax.Stmt) {
	var out []*syntax.Stmt
	for i, st := range *stmts {
		before, now := f.before(st), st
		if st.Background || st.Disown {
			var fork *syntax.Stmt
			fork, now = f.background(st)
			before = append(before, fork)
		}
		if len(before) > 0 && out == nil {
			out = append(make([]*syntax.Stmt, 0, len(*stmts)+len(before)), (*stmts)[:i]...)
		}
		if out != nil {
			out = append(append(out, before...), now)
		}
	}
	if out != nil {
		*stmts, f.changed = out, true
	}
}

// operand does the same for a statement that is in no list.
func (f *fitter) operand(st **syntax.Stmt) {
	if before := f.before(*st); len(before) > 0 {
		*st = &syntax.Stmt{Position: (*st).Position, Cmd: &syntax.Block{Lbrace: (*st).Position, Stmts: append(before, *st)}}
		f.changed = true
	}
}

// before is what must run before a statement.
func (f *fitter) before(st *syntax.Stmt) []*syntax.Stmt {
	before := append(f.apart(st), f.referred(st)...)
	before = append(before, f.anchored(st)...)
	if call, ok := st.Cmd.(*syntax.CallExpr); ok && len(call.Args) == 0 {
		before = append(before, f.assigned(call)...)
		f.emptied(st, call)
	}
	if b, ok := st.Cmd.(*syntax.BinaryCmd); ok && isPipe(b) && f.reader.pipes && !f.recording[b] {
		before = append(before, f.recorded(b))
	}
	return before
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
	if f.mayTrap(&plain) {
		sub := inner.Cmd.(*syntax.Subshell)
		sub.Stmts = append(sub.Stmts, command(leftCommand))
	}
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

func isPipe(b *syntax.BinaryCmd) bool { return b.Op == syntax.Pipe || b.Op == syntax.PipeAll }

func (f *fitter) binary(b *syntax.BinaryCmd) {
	if !isPipe(b) && !isOurs(b.Y) {
		f.condition(b.X)
	}
	f.operand(&b.X)
	f.operand(&b.Y)
	if isPipe(b) {
		f.pipe(b)
	}
}

// pipe puts the right side of a pipeline into a subshell. A command that is
// none of the shell's own changes nothing, and needs none.
func (f *fitter) pipe(b *syntax.BinaryCmd) {
	if f.conditional[b] && !isCall(b.X) {
		sub := &syntax.Subshell{Lparen: b.X.Position, Stmts: []*syntax.Stmt{b.X}}
		b.X, f.conditional[sub], f.changed = &syntax.Stmt{Position: b.X.Position, Cmd: sub}, true, true
	}
	switch cmd := b.Y.Cmd.(type) {
	case *syntax.BinaryCmd:
		if isPipe(cmd) {
			return // its own right side is
		}
	case *syntax.Subshell:
		return
	case *syntax.CallExpr:
		if len(cmd.Args) > 0 && harmless(cmd.Args[0].Lit()) {
			return
		}
	}
	sub := &syntax.Subshell{Lparen: b.Y.Position, Stmts: []*syntax.Stmt{b.Y}}
	f.conditional[sub] = f.conditional[b]
	b.Y = &syntax.Stmt{Position: b.Y.Position, Cmd: sub}
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
