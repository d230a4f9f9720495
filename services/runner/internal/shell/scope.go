package shell

import (
	"slices"
	"strconv"

	"mvdan.cc/sh/v3/syntax"
)

const loopVariable = "__towline_loop_" // and a number: is 1 when a loop has declared its variables

// scope is where in a text a command stands.
type scope struct {
	returns  bool // in a function or a file that is sourced
	function bool
	subshell bool // in a subshell of that
	loop     bool
	declared map[string]bool // by local, in this function
	first    *[]string       // variables that say what a loop of this function has declared
}

// scoped fits what depends on where it stands. The interpreter does not know in
// a subshell that it belongs to a function: return becomes exit there, and local
// declare. In a function, a local variable without a value hides the one outside.
func (f *fitter) scoped(node syntax.Node, s scope) {
	syntax.Walk(node, func(n syntax.Node) bool {
		inner := s
		switch n := n.(type) {
		case *syntax.FuncDecl:
			var first []string
			f.scoped(n.Body, scope{returns: true, function: true, declared: map[string]bool{}, first: &first})
			begin(n.Body, first)
			return false
		case *syntax.Subshell, *syntax.CmdSubst, *syntax.ProcSubst:
			inner.subshell = true
		case *syntax.BinaryCmd:
			inner.subshell = s.subshell || isPipe(n)
		case *syntax.WhileClause, *syntax.ForClause:
			inner.loop = true
		case *syntax.Stmt:
			inner.subshell = s.subshell || n.Background
			f.hidden(n, s)
		case *syntax.CallExpr:
			if s.returns && s.subshell && len(n.Args) > 0 && n.Args[0].Lit() == "return" {
				n.Args[0], f.changed = renamed(n.Args[0], "exit"), true
			}
		case *syntax.DeclClause:
			if s.function && s.subshell && n.Variant.Value == "local" {
				n.Variant.Value, f.changed = "declare", true
			}
		}
		if n == nil || n == node || inner.subshell == s.subshell && inner.loop == s.loop {
			return true
		}
		f.scoped(n, inner)
		return false
	})
}

func renamed(word *syntax.Word, name string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{ValuePos: word.Pos(), ValueEnd: word.End(), Value: name}}}
}

// hidden unsets what a function declares without a value: for the interpreter it
// would have that of the variable outside. What is declared again keeps its own.
func (f *fitter) hidden(st *syntax.Stmt, s scope) {
	d, ok := st.Cmd.(*syntax.DeclClause)
	if !ok || !s.function || s.subshell || d.Variant.Value == "export" || d.Variant.Value == "readonly" {
		return
	}
	before := *d
	before.Args = nil
	for _, arg := range d.Args {
		again := *arg
		before.Args = append(before.Args, &again)
	}
	declared, changed := *st, f.changed
	f.changed = false
	f.hide(&declared, d, s)
	if f.changed && s.loop {
		st.Cmd = f.once(&declared, &before, s)
	} else {
		st.Cmd = declared.Cmd
	}
	f.changed = f.changed || changed
}

// once is a declaration for the first time that a loop comes to it, and the one
// before it was changed for other times.
func (f *fitter) once(declared *syntax.Stmt, again *syntax.DeclClause, s scope) syntax.Command {
	f.reader.loops++
	flag := loopVariable + strconv.Itoa(f.reader.loops)
	*s.first = append(*s.first, flag)
	at := declared.Position
	if number, ok := f.numbers[declared.Cmd]; ok {
		f.numbers[again] = number
	}
	inner := *declared
	inner.Redirs = nil
	set := assign(flag, literalWord("1"))
	set.Position = at
	return &syntax.CaseClause{Case: at, In: at, Esac: at, Word: &syntax.Word{Parts: []syntax.WordPart{parameter(flag)}}, Items: []*syntax.CaseItem{
		{Op: syntax.Break, Patterns: []*syntax.Word{literalWord("1")}, Stmts: []*syntax.Stmt{{Position: at, Cmd: again}}},
		{Op: syntax.Break, Patterns: []*syntax.Word{literalWord("*")}, Stmts: []*syntax.Stmt{&inner, set}},
	}}
}

// begin has a function begin with variables of its own that are empty.
func begin(body *syntax.Stmt, names []string) {
	if len(names) == 0 {
		return
	}
	block, ok := body.Cmd.(*syntax.Block)
	if !ok {
		inner := *body
		block = &syntax.Block{Lbrace: body.Position, Rbrace: body.End(), Stmts: []*syntax.Stmt{&inner}}
		body.Cmd, body.Redirs = block, nil
	}
	local := &syntax.DeclClause{Variant: &syntax.Lit{ValuePos: body.Pos(), Value: "local"}}
	for _, name := range names {
		local.Args = append(local.Args, &syntax.Assign{Name: &syntax.Lit{Value: name}, Value: quotedWord("")})
	}
	block.Stmts = slices.Insert(block.Stmts, 0, &syntax.Stmt{Position: body.Position, Cmd: local})
}

// hide is what hidden does to a declaration.
func (f *fitter) hide(st *syntax.Stmt, d *syntax.DeclClause, s scope) {
	var names []string
	array, plain := false, true
	for _, arg := range d.Args {
		if arg.Name == nil {
			flags := arg.Value.Lit()
			plain = plain && flags == "--"
			array = flags == "-a" || flags == "-A"
			continue
		}
		name := arg.Name.Value
		again := s.declared[name]
		s.declared[name] = true
		switch {
		case !arg.Naked || again:
		case name == "OPTIND" && plain:
			arg.Naked, arg.Value, f.changed = false, literalWord("1"), true
		case array:
			arg.Naked, arg.Array, f.changed = false, &syntax.ArrayExpr{}, true
		case plain:
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	declaration := *st
	declaration.Redirs = nil
	stmts := []*syntax.Stmt{&declaration}
	for _, name := range names {
		stmts = append(stmts, emptied(name, st.Position))
	}
	st.Cmd, f.changed = &syntax.Block{Lbrace: st.Position, Rbrace: d.End(), Stmts: stmts}, true
}

// emptied unsets a variable, which stays exported where the one outside is:
//
//	case ${name+${name@a}} in *x*) unset; declare -x name;; *) unset;; esac
func emptied(name string, at syntax.Pos) *syntax.Stmt {
	attributes := parameter(name)
	attributes.Short, attributes.Exp = false, &syntax.Expansion{Op: syntax.OtherParamOps, Word: literalWord("a")}
	known := parameter(name)
	known.Short, known.Exp = false, &syntax.Expansion{Op: syntax.AlternateUnset, Word: &syntax.Word{Parts: []syntax.WordPart{attributes}}}
	unset := func() *syntax.Stmt { return command("builtin", "unset", "-v", name) }
	again := &syntax.Stmt{Position: at, Cmd: &syntax.DeclClause{Variant: &syntax.Lit{ValuePos: at, ValueEnd: at, Value: "declare"}, Args: []*syntax.Assign{
		{Naked: true, Value: literalWord("-x")}, {Naked: true, Name: &syntax.Lit{ValuePos: at, ValueEnd: at, Value: name}},
	}}}
	return &syntax.Stmt{Position: at, Cmd: &syntax.CaseClause{Case: at, In: at, Esac: at, Word: &syntax.Word{Parts: []syntax.WordPart{known}}, Items: []*syntax.CaseItem{
		{Op: syntax.Break, Patterns: []*syntax.Word{literalWord("*x*")}, Stmts: []*syntax.Stmt{unset(), again}},
		{Op: syntax.Break, Patterns: []*syntax.Word{literalWord("*")}, Stmts: []*syntax.Stmt{unset()}},
	}}}
}

// leaving puts a command at the end of the subshells that may have a trap for EXIT:
// the interpreter runs that of the whole script only.
func (f *fitter) leaving(file *syntax.File) {
	for again := true; again; {
		again = false
		syntax.Walk(file, func(node syntax.Node) bool {
			if fn, ok := node.(*syntax.FuncDecl); ok && fn.Name != nil && !f.reader.trapping[fn.Name.Value] && f.mayTrap(fn.Body) {
				f.reader.trapping[fn.Name.Value], again = true, true
			}
			return true
		})
	}
	end := func(stmts *[]*syntax.Stmt) {
		for _, st := range *stmts {
			if f.mayTrap(st) {
				*stmts, f.changed = append(*stmts, command(leftCommand)), true
				return
			}
		}
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.Subshell:
			end(&node.Stmts)
		case *syntax.CmdSubst:
			end(&node.Stmts)
		case *syntax.ProcSubst:
			end(&node.Stmts)
		}
		return true
	})
}

// mayTrap says whether a command sets a trap, itself or by a function, or reads a
// file that may.
func (f *fitter) mayTrap(st *syntax.Stmt) bool {
	found := false
	syntax.Walk(st, func(node syntax.Node) bool {
		if call, ok := node.(*syntax.CallExpr); ok && len(call.Args) > 0 {
			name := call.Args[0].Lit()
			found = found || name == "trap" || name == "source" || name == "." || f.reader.trapping[name]
		}
		return !found
	})
	return found
}
