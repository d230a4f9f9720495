package shell

import "mvdan.cc/sh/v3/syntax"

// relaxed lets a compound command fail without ending the script when what failed
// in it is exempt from errexit, as the left side of && is: under bash the exemption
// holds for what is around it, for the interpreter it does not. In
//
//	for x in a; do [ $x = b ] && echo b; done; echo on
//
// the last command of the body becomes if [ $x = b ]; then echo b; fi. This is not
// done at the end of a function or subshell, nor where the next command asks for
// the exit code: there it counts.
func (f *fitter) relaxed(file *syntax.File) {
	f.relaxList(file.Stmts)
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
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
			f.relaxBody(node.Do)
		case *syntax.ForClause:
			f.relaxBody(node.Do)
			f.counted(node)
		case *syntax.CaseItem:
			f.relaxList(node.Stmts)
		}
		return true
	})
}

// relaxList does it for all commands but the last one.
func (f *fitter) relaxList(stmts []*syntax.Stmt) {
	for i := range max(0, len(stmts)-1) {
		if !asksForCode(stmts[i+1]) {
			f.relaxCompound(stmts[i])
		}
	}
}

// relaxBody does it for the body of a loop, which goes on after its last command.
func (f *fitter) relaxBody(stmts []*syntax.Stmt) {
	f.relaxList(stmts)
	if len(stmts) > 0 {
		f.relaxCompound(stmts[len(stmts)-1])
	}
}

// asksForCode says whether a statement begins with the exit code of the one before.
func asksForCode(st *syntax.Stmt) bool {
	asks := false
	within(st, func(node syntax.Node) {
		switch node := node.(type) {
		case *syntax.ParamExp:
			asks = asks || node.Param != nil && node.Param.Value == "?"
		case *syntax.CallExpr:
			asks = asks || len(node.Args) == 1 && (node.Args[0].Lit() == "exit" || node.Args[0].Lit() == "return")
		}
	})
	return asks
}

// relaxCompound changes the commands that a compound command ends with.
func (f *fitter) relaxCompound(st *syntax.Stmt) {
	if st.Background || st.Disown || st.Negated {
		return
	}
	switch cmd := st.Cmd.(type) {
	case *syntax.Block:
		f.relaxEnd(cmd.Stmts)
	case *syntax.ForClause:
		f.relaxEnd(cmd.Do)
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

// counted keeps for ((...)) from ending with the first body that fails.
func (f *fitter) counted(loop *syntax.ForClause) {
	if _, ok := loop.Loop.(*syntax.CStyleLoop); ok && len(loop.Do) > 0 {
		end := command("true")
		end.Position = loop.Do[len(loop.Do)-1].End()
		loop.Do, f.changed = append(loop.Do, end), true
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
