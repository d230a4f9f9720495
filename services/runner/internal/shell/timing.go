package shell

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

const (
	startCommand  = "__towline_start" // before what is timed
	timesCommand  = "__towline_times" // after it: says how long it took
	startVariable = "__towline_time_" // and a number: when it began
)

// timed has commands around what time is for: the interpreter would print the times
// to standard output. A program that fails under errexit ends the script after that,
// a compound command before it.
func (f *fitter) timed(file *syntax.File) {
	var found []*syntax.Stmt
	syntax.Walk(file, func(node syntax.Node) bool {
		if st, ok := node.(*syntax.Stmt); ok {
			if _, ok := st.Cmd.(*syntax.TimeClause); ok {
				found = append(found, st)
			}
		}
		return true
	})
	for _, st := range found {
		clause, at := st.Cmd.(*syntax.TimeClause), st.Position
		f.reader.timed++
		number, format := strconv.Itoa(f.reader.timed), strconv.FormatBool(clause.PosixFormat)
		start, end := command(startCommand, number), command(timesCommand, number, format)
		start.Position, end.Position = at, at
		stmts := []*syntax.Stmt{start, end}
		if inner := clause.Stmt; inner != nil {
			stmts = []*syntax.Stmt{start, inner, end}
			if call, ok := inner.Cmd.(*syntax.CallExpr); ok && !inner.Negated && len(call.Args) > 0 && call.Args[0].Lit() != "" && !f.reader.functions[call.Args[0].Lit()] {
				then := &syntax.Stmt{Position: at, Cmd: &syntax.BinaryCmd{OpPos: at, Op: syntax.AndStmt, X: inner, Y: end}}
				again := command(timesCommand, number, format)
				again.Position = at
				stmts = []*syntax.Stmt{start, {Position: at, Cmd: &syntax.BinaryCmd{OpPos: at, Op: syntax.OrStmt, X: then, Y: again}}}
			}
		}
		st.Cmd, f.changed = &syntax.Block{Lbrace: at, Rbrace: at, Stmts: stmts}, true
	}
}

// start is the command before. It leaves $? as it is.
func (s *session) start(ctx context.Context, hc interp.HandlerContext, args []string) int {
	_ = assignIn(ctx, hc, startVariable+strings.Join(args, ""), strconv.FormatInt(time.Now().UnixNano(), 10))
	return hc.LastExitStatus
}

// times is the command after. It has the exit code of what is timed.
func (s *session) times(_ context.Context, hc interp.HandlerContext, args []string) int {
	const words = 2
	if len(args) != words {
		return exitFailure
	}
	began, err := strconv.ParseInt(hc.Env.Get(startVariable+args[0]).Str, 10, 64)
	if err != nil {
		return hc.LastExitStatus
	}
	took := time.Since(time.Unix(0, began))
	if args[1] == "true" {
		fmt.Fprintf(hc.Stderr, "real %.2f\nuser 0.00\nsys 0.00\n", took.Seconds())
		return hc.LastExitStatus
	}
	fmt.Fprintf(hc.Stderr, "\nreal\t%dm%.3fs\nuser\t0m0.000s\nsys\t0m0.000s\n", int(took.Minutes()), (took % time.Minute).Seconds())
	return hc.LastExitStatus
}
