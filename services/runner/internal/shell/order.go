package shell

import (
	"slices"
	"strconv"

	"mvdan.cc/sh/v3/syntax"
)

// relaxed lets a compound command fail without ending the script when what failed
// in it is exempt from errexit, as the left side of && is: under bash the exemption
// holds for what is around it, for the interpreter it does not. In
//
//	for x in a; do [ $x = b ] && echo b; done; echo on
//
// the last command of the body becomes if [ $x = b ]; then echo b; fi. This is not
// done at the end of a function, subshell or body, nor where the next command asks
// for the exit code: there it counts.
func (f *fitter) relaxed(file *syntax.File) {
	f.askers, f.codeless = map[string]bool{}, map[*syntax.ForClause]bool{}
	f.findAskers(file)
	f.relaxList(file.Stmts)
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.Stmt:
			f.counted(node)
		case *syntax.Subshell:
			f.relaxList(node.Stmts)
		case *syntax.CmdSubst:
			f.relaxList(node.Stmts)
		case *syntax.ProcSubst:
			f.relaxList(node.Stmts)
		case *syntax.Block:
			f.relaxList(node.Stmts)
		case *syntax.IfClause:
			f.relaxList(node.Cond)
			f.relaxList(node.Then)
		case *syntax.WhileClause:
			f.relaxList(node.Cond)
			f.relaxList(node.Do)
		case *syntax.ForClause:
			f.relaxList(node.Do)
		case *syntax.CaseItem:
			f.relaxList(node.Stmts)
		}
		return true
	})
}

// relaxList does it for all commands but the last one.
func (f *fitter) relaxList(stmts []*syntax.Stmt) {
	for i := range max(0, len(stmts)-1) {
		if !f.asksForCode(stmts[i+1]) {
			f.relaxCompound(stmts[i])
		}
	}
}

// findAskers finds the functions that begin with the exit code of what was before
// their call.
func (f *fitter) findAskers(file *syntax.File) {
	for more := true; more; {
		more = false
		syntax.Walk(file, func(node syntax.Node) bool {
			if fn, ok := node.(*syntax.FuncDecl); ok && fn.Name != nil && !f.askers[fn.Name.Value] && f.asksForCode(fn.Body) {
				f.askers[fn.Name.Value], more = true, true
			}
			return true
		})
	}
}

// asksForCode says whether a statement begins with the exit code of the one before.
func (f *fitter) asksForCode(st *syntax.Stmt) bool {
	first := func(stmts []*syntax.Stmt) bool { return len(stmts) > 0 && f.asksForCode(stmts[0]) }
	switch cmd := st.Cmd.(type) {
	case *syntax.BinaryCmd:
		return f.asksForCode(cmd.X) || isPipe(cmd) && f.asksForCode(cmd.Y)
	case *syntax.TimeClause:
		return cmd.Stmt != nil && f.asksForCode(cmd.Stmt)
	case *syntax.Block:
		return first(cmd.Stmts)
	case *syntax.Subshell:
		return first(cmd.Stmts)
	case *syntax.IfClause:
		return first(cmd.Cond)
	case *syntax.WhileClause:
		return first(cmd.Cond)
	case *syntax.ForClause:
		return f.readsCode(st) || first(cmd.Do)
	case *syntax.CaseClause:
		return f.readsCode(st) || slices.ContainsFunc(cmd.Items, func(item *syntax.CaseItem) bool { return first(item.Stmts) })
	case *syntax.FuncDecl:
		return false
	}
	return f.readsCode(st)
}

// readsCode says whether $? stands in a statement itself, or ends with it what is
// around it.
func (f *fitter) readsCode(st *syntax.Stmt) bool {
	reads := false
	within(st, func(node syntax.Node) {
		switch node := node.(type) {
		case *syntax.ParamExp:
			reads = reads || node.Param != nil && node.Param.Value == "?"
		case *syntax.CmdSubst:
			reads = reads || len(node.Stmts) > 0 && f.asksForCode(node.Stmts[0])
		case *syntax.CallExpr:
			if len(node.Args) > 0 {
				name := node.Args[0].Lit()
				reads = reads || f.askers[name] || name == leftCommand || len(node.Args) == 1 && (name == "exit" || name == "return")
			}
		}
	})
	return reads
}

// relaxCompound changes the commands that a compound command ends with.
func (f *fitter) relaxCompound(st *syntax.Stmt) {
	if st.Background || st.Disown || st.Negated {
		return
	}
	switch cmd := st.Cmd.(type) {
	case *syntax.Block:
		f.relaxEnd(cmd.Stmts)
	case *syntax.WhileClause:
		f.relaxEnd(cmd.Do)
	case *syntax.ForClause:
		f.relaxEnd(cmd.Do)
		f.codelessLoop(cmd)
	case *syntax.IfClause:
		for clause := cmd; clause != nil; clause = clause.Else {
			f.relaxEnd(clause.Then)
		}
	case *syntax.CaseClause:
		for _, item := range cmd.Items {
			f.relaxEnd(item.Stmts)
		}
	case *syntax.BinaryCmd:
		if !isPipe(cmd) {
			f.relaxCompound(cmd.Y)
		}
	}
}

func (f *fitter) relaxEnd(stmts []*syntax.Stmt) {
	if len(stmts) == 0 {
		return
	}
	st := stmts[len(stmts)-1]
	b, isBinary := st.Cmd.(*syntax.BinaryCmd)
	switch {
	case st.Background || st.Disown:
	case st.Negated && len(st.Redirs) == 0:
		inner := *st
		st.Negated, f.changed = false, true
		st.Cmd = clause(&inner, command("true"))
	case isBinary && b.Op == syntax.AndStmt && len(st.Redirs) == 0:
		then := b.Y
		st.Cmd, f.changed = clause(b.X, then), true
		f.relaxCompound(then)
	default:
		f.relaxCompound(st)
	}
}

// clause is if condition; then statement; fi.
func clause(condition, then *syntax.Stmt) *syntax.IfClause {
	at := condition.Position
	return &syntax.IfClause{Position: at, ThenPos: at, FiPos: then.End(), Cond: []*syntax.Stmt{condition}, Then: []*syntax.Stmt{then}}
}

const loopCode = "__towline_loop_code_" // and a number: the code of a loop's body

// counted keeps for ((...)) from ending with the first body that fails. Where its
// code counts, for ((...)); do a; done becomes
//
//	{ for ((...)); do code=0; a; code=$?; done; (exit $code); }
func (f *fitter) counted(st *syntax.Stmt) {
	loop, ok := st.Cmd.(*syntax.ForClause)
	if !ok || f.codeless[loop] || len(loop.Do) == 0 {
		return
	}
	if _, ok := loop.Loop.(*syntax.CStyleLoop); !ok {
		return
	}
	at, end := loop.Do[0].Position, loop.Do[len(loop.Do)-1].End()
	f.codeless[loop], f.changed = true, true
	f.reader.codes++
	name := loopCode + strconv.Itoa(f.reader.codes)
	begin, keep := assign(name, literalWord("0")), assign(name, &syntax.Word{Parts: []syntax.WordPart{parameter("?")}})
	begin.Position, keep.Position = at, end
	loop.Do = append(append([]*syntax.Stmt{begin}, loop.Do...), keep)
	exit := command("exit")
	call, _ := exit.Cmd.(*syntax.CallExpr)
	call.Args = append(call.Args, &syntax.Word{Parts: []syntax.WordPart{parameter(name)}})
	exit.Position = end
	inner := &syntax.Stmt{Position: st.Position, Cmd: loop}
	code := &syntax.Stmt{Position: end, Cmd: &syntax.Subshell{Lparen: end, Rparen: end, Stmts: []*syntax.Stmt{exit}}}
	st.Cmd = &syntax.Block{Lbrace: st.Position, Rbrace: end, Stmts: []*syntax.Stmt{inner, code}}
}

// codelessLoop keeps on with a loop whose code nobody asks for.
func (f *fitter) codelessLoop(loop *syntax.ForClause) {
	if _, ok := loop.Loop.(*syntax.CStyleLoop); ok && len(loop.Do) > 0 && !f.codeless[loop] {
		end := command("true")
		end.Position = loop.Do[len(loop.Do)-1].End()
		loop.Do, f.changed = append(loop.Do, end), true
		f.codeless[loop] = true
	}
}

// lazy takes && and || in [[ ]] apart, since the interpreter would expand both
// sides of them: [[ a && b ]] becomes { [[ a ]] && [[ b ]]; }.
func (f *fitter) lazy(st *syntax.Stmt) {
	test, ok := st.Cmd.(*syntax.TestClause)
	if !ok || !branches(test.X) {
		return
	}
	inner := f.tested(st, test.X)
	st.Cmd, f.changed = &syntax.Block{Lbrace: st.Position, Rbrace: test.Right, Stmts: []*syntax.Stmt{inner}}, true
}

// branches says whether && or || stands in a test.
func branches(test syntax.TestExpr) bool {
	switch test := test.(type) {
	case *syntax.ParenTest:
		return branches(test.X)
	case *syntax.UnaryTest:
		return test.Op == syntax.TsNot && branches(test.X)
	case *syntax.BinaryTest:
		return test.Op == syntax.AndTest || test.Op == syntax.OrTest
	}
	return false
}

func (f *fitter) tested(st *syntax.Stmt, test syntax.TestExpr) *syntax.Stmt {
	at := st.Position
	if !branches(test) {
		return &syntax.Stmt{Position: at, Cmd: &syntax.TestClause{Left: at, Right: at, X: test}}
	}
	switch test := test.(type) {
	case *syntax.ParenTest:
		return &syntax.Stmt{Position: at, Cmd: &syntax.Block{Lbrace: at, Rbrace: at, Stmts: []*syntax.Stmt{f.tested(st, test.X)}}}
	case *syntax.UnaryTest:
		inner := f.tested(st, test.X)
		return &syntax.Stmt{Position: at, Negated: true, Cmd: &syntax.Block{Lbrace: at, Rbrace: at, Stmts: []*syntax.Stmt{inner}}}
	case *syntax.BinaryTest:
		op := syntax.AndStmt
		if test.Op == syntax.OrTest {
			op = syntax.OrStmt
		}
		return &syntax.Stmt{Position: at, Cmd: &syntax.BinaryCmd{OpPos: at, Op: op, X: f.tested(st, test.X), Y: f.tested(st, test.Y)}}
	}
	return nil
}
