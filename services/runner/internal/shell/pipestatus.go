package shell

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

const (
	pipeCommand       = "__towline_pipe"       // before a pipeline: how many commands it has
	pipedCommand      = "__towline_piped"      // in it: records how one of them has failed
	pipeStatusCommand = "__towline_pipestatus" // prints what PIPESTATUS has
	pipeVariable      = "__towline_pipe_last"  // the number of the last pipeline
)

// pipes are the exit codes of the pipelines of a script that asks for them.
type pipes struct {
	mu    sync.Mutex
	last  int
	codes map[string][]int
}

// recorded makes the commands of a pipeline tell how they end.
func (f *fitter) recorded(b *syntax.BinaryCmd) *syntax.Stmt {
	count := 0
	record := func(st **syntax.Stmt) {
		inner := *st
		at := inner.Position
		sub := &syntax.Subshell{Lparen: at, Stmts: []*syntax.Stmt{inner}}
		f.conditional[sub] = f.conditional[b]
		body := &syntax.BinaryCmd{OpPos: at, Op: syntax.OrStmt, X: &syntax.Stmt{Position: at, Cmd: sub}, Y: command(pipedCommand, strconv.Itoa(count))}
		*st = &syntax.Stmt{Position: at, Cmd: &syntax.Block{Lbrace: at, Stmts: []*syntax.Stmt{{Position: at, Cmd: body}}}}
		count++
	}
	var each func(*syntax.BinaryCmd)
	each = func(b *syntax.BinaryCmd) {
		for _, side := range []**syntax.Stmt{&b.X, &b.Y} {
			if inner, ok := (*side).Cmd.(*syntax.BinaryCmd); ok && isPipe(inner) && len((*side).Redirs) == 0 {
				f.recording[inner] = true
				each(inner)
			} else {
				record(side)
			}
		}
	}
	each(b)
	return command(pipeCommand, strconv.Itoa(count))
}

func isStatusList(p *syntax.ParamExp) bool {
	return p.Param != nil && p.Param.Value == "PIPESTATUS" && isAll(p.Index) && !p.Length
}

// pipeStatusOf is the command for one expansion of PIPESTATUS.
func pipeStatusOf(p *syntax.ParamExp) syntax.WordPart {
	stmt := command(pipeStatusCommand)
	call := stmt.Cmd.(*syntax.CallExpr)
	switch {
	case p.Length && isAll(p.Index):
		call.Args = append(call.Args, quotedWord("#"))
	case isAll(p.Index):
		call.Args = append(call.Args, quotedWord("@"))
	case p.Index != nil:
		call.Args = append(call.Args, &syntax.Word{Parts: []syntax.WordPart{&syntax.ArithmExp{X: p.Index}}})
	}
	return &syntax.CmdSubst{Stmts: []*syntax.Stmt{stmt}}
}

// pipe begins to record a pipeline.
func (s *session) pipe(ctx context.Context, hc interp.HandlerContext, args []string) int {
	count, _ := strconv.Atoi(strings.Join(args, ""))
	s.pipes.mu.Lock()
	if s.pipes.codes == nil {
		s.pipes.codes = map[string][]int{}
	}
	delete(s.pipes.codes, hc.Env.Get(pipeVariable).Str)
	s.pipes.last++
	number := strconv.Itoa(s.pipes.last)
	s.pipes.codes[number] = make([]int, min(count, maxGoroutines))
	s.pipes.mu.Unlock()
	if err := assignIn(ctx, hc, pipeVariable, number); err != nil {
		return exitFailure
	}
	return 0
}

// piped records a failure, and has its exit code.
func (s *session) piped(_ context.Context, hc interp.HandlerContext, args []string) int {
	at, _ := strconv.Atoi(strings.Join(args, ""))
	s.pipes.mu.Lock()
	defer s.pipes.mu.Unlock()
	if codes := s.pipes.codes[hc.Env.Get(pipeVariable).Str]; at < len(codes) {
		codes[at] = hc.LastExitStatus
	}
	return hc.LastExitStatus
}

// pipeStatus prints one code, all of them, or how many there are. Without a
// pipeline that is the code of the last command.
func (s *session) pipeStatus(_ context.Context, hc interp.HandlerContext, args []string) int {
	s.pipes.mu.Lock()
	codes := s.pipes.codes[hc.Env.Get(pipeVariable).Str]
	s.pipes.mu.Unlock()
	if codes == nil {
		codes = []int{hc.LastExitStatus}
	}
	which := strings.Join(args, "")
	switch which {
	case "#":
		fmt.Fprintln(hc.Stdout, len(codes))
	case "@":
		fmt.Fprintln(hc.Stdout, strings.Trim(fmt.Sprint(codes), "[]"))
	default:
		at, _ := strconv.Atoi(which)
		if at < 0 {
			at += len(codes)
		}
		if at >= 0 && at < len(codes) {
			fmt.Fprintln(hc.Stdout, codes[at])
		}
	}
	return 0
}
