package shell

import (
	"context"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Where errexit has no effect under bash, the interpreter forgets that as soon
// as a subshell begins. There the commands become the left side of ||, where it
// does not.

// condition remembers the subshells and pipelines of a condition.
func (f *fitter) condition(stmts ...*syntax.Stmt) {
	for _, st := range stmts {
		syntax.Walk(st, func(node syntax.Node) bool {
			switch node.(type) {
			case nil, *syntax.FuncDecl, *syntax.ProcSubst:
				return false
			case *syntax.Stmt, *syntax.Subshell, *syntax.BinaryCmd, *syntax.CmdSubst:
				if f.conditional[node] {
					return false // so is all that is in it
				}
				f.conditional[node] = true
			}
			return true
		})
	}
}

// negated makes ! a condition, which the interpreter does not take it for.
func (f *fitter) negated(st *syntax.Stmt) {
	if !st.Negated || st.Cmd == nil || isProgram(st) {
		return
	}
	f.condition(st)
	if b, ok := st.Cmd.(*syntax.BinaryCmd); ok && !isPipe(b) {
		return
	}
	left := &syntax.Stmt{Position: st.Position, Cmd: st.Cmd}
	st.Cmd = &syntax.BinaryCmd{OpPos: st.Position, Op: syntax.AndStmt, X: left, Y: command("true")}
	f.conditional[left], f.conditional[st.Cmd], f.changed = true, true, true
}

// lenient makes a subshell of a condition go on after errors.
func (f *fitter) lenient(sub *syntax.Subshell) {
	if f.conditional[sub] {
		sub.Stmts = f.unbroken(sub.Stmts)
	}
}

// substitution makes $(...) go on after errors, unless it asks for errexit
// itself or inherit_errexit is set.
func (f *fitter) substitution(sub *syntax.CmdSubst) {
	if f.reader.inherit && !f.conditional[sub] || len(sub.Stmts) == 0 || len(sub.Stmts) == 1 && (sub.Stmts[0].Cmd == nil || isOurs(sub.Stmts[0]) || isProgram(sub.Stmts[0])) {
		return
	}
	for _, st := range sub.Stmts {
		if setsErrexit(st) && !f.conditional[sub] {
			return
		}
	}
	f.condition(sub.Stmts...)
	sub.Stmts = f.unbroken(sub.Stmts)
}

func (f *fitter) unbroken(stmts []*syntax.Stmt) []*syntax.Stmt {
	if len(stmts) == 0 || isUnbroken(stmts) {
		return stmts
	}
	f.changed = true
	at := stmts[0].Position
	block := &syntax.Stmt{Position: at, Cmd: &syntax.Block{Lbrace: at, Stmts: stmts}}
	return []*syntax.Stmt{{Position: at, Cmd: &syntax.BinaryCmd{OpPos: at, Op: syntax.OrStmt, X: block, Y: command(againCommand)}}}
}

// isUnbroken recognises what unbroken has made.
func isUnbroken(stmts []*syntax.Stmt) bool {
	b, ok := stmts[0].Cmd.(*syntax.BinaryCmd)
	return ok && len(stmts) == 1 && isOurs(b.Y)
}

// isOurs recognises the commands that fitted scripts use.
func isOurs(st *syntax.Stmt) bool {
	call, ok := st.Cmd.(*syntax.CallExpr)
	return ok && len(call.Args) > 0 && strings.HasPrefix(call.Args[0].Lit(), "__towline_")
}

func isCall(st *syntax.Stmt) bool {
	call, ok := st.Cmd.(*syntax.CallExpr)
	return ok && len(call.Args) > 0 && harmless(call.Args[0].Lit())
}

// isProgram says whether a statement is one command that errexit does not change.
func isProgram(st *syntax.Stmt) bool {
	call, ok := st.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 {
		return false
	}
	switch name := call.Args[0].Lit(); name {
	case "echo", "printf", "date", "basename", "dirname", "pwd", "mktemp":
		return true
	default:
		return harmless(name)
	}
}

func setsErrexit(st *syntax.Stmt) bool {
	call, ok := st.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) < 2 || call.Args[0].Lit() != "set" {
		return false
	}
	for _, arg := range call.Args[1:] {
		word := arg.Lit()
		if word == "errexit" || strings.HasPrefix(word, "-") && strings.Contains(word, "e") {
			return true
		}
	}
	return false
}

// sameCode has the exit code of the command before it.
func sameCode(_ context.Context, _ *session, hc interp.HandlerContext, _ []string) int {
	return hc.LastExitStatus
}
