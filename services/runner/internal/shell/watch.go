package shell

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

const (
	atVariable  = "__towline_at"  // the number of the last command that a shell has begun
	runVariable = "__towline_run" // how many it has begun
)

// watching are the texts whose commands are watched: those that may set a trap.
var watching = regexp.MustCompile(`\btrap\b|\bsource\b|(?:^|[\s;&|({])\.\s`)

// watched is a command as traps tell about it.
type watched struct {
	line       uint
	text       string
	redirected bool
}

// watch notes the commands of a text and, once that is fitted, makes each say that
// it begins: by an expansion that is empty and has a sum in it, so that it changes
// nothing else, not even $?.
func (f *fitter) watch(file *syntax.File, text string) {
	f.reader.watches = f.reader.watches || watching.MatchString(text)
	if !f.reader.watches {
		return
	}
	f.numbers = map[syntax.Node]int{}
	syntax.Walk(file, func(node syntax.Node) bool {
		st, ok := node.(*syntax.Stmt)
		if !ok || len(f.reader.commands) >= maxWatched {
			return true
		}
		said := ""
		switch cmd := st.Cmd.(type) {
		case *syntax.CallExpr, *syntax.DeclClause, *syntax.TestClause:
			said = asWritten(st)
		case *syntax.ArithmCmd:
			if end := cmd.End().Offset(); end <= uint(len(text)) {
				said = text[cmd.Pos().Offset():end]
			}
		case *syntax.Subshell:
			var parts []string
			for _, inner := range cmd.Stmts {
				parts = append(parts, asWritten(inner))
			}
			said = "( " + strings.Join(parts, "; ") + " )"
		default:
			return true
		}
		f.numbers[st.Cmd] = len(f.reader.commands)
		f.reader.commands = append(f.reader.commands, watched{line: f.offset + st.Pos().Line(), text: said[:min(len(said), maxSaid)]})
		return true
	})
}

const (
	maxWatched = 100_000 // commands of one shell
	maxSaid    = 4 << 10 // bytes of one of them
)

// asWritten is a command without what stands around it, as bash prints it: with the
// redirections at the end.
func asWritten(st *syntax.Stmt) string {
	var b strings.Builder
	if st.Cmd != nil {
		b.WriteString(printed(st.Cmd))
	}
	for _, r := range st.Redirs {
		b.WriteString(" ")
		if r.N != nil {
			b.WriteString(r.N.Value)
		}
		b.WriteString(r.Op.String())
		if r.Op != syntax.DplOut && r.Op != syntax.DplIn && r.Op != syntax.Hdoc && r.Op != syntax.DashHdoc {
			b.WriteString(" ")
		}
		b.WriteString(printed(r.Word))
	}
	return strings.TrimSpace(b.String())
}

// marked makes the commands that watch has noted say that they begin.
func (f *fitter) marked(file *syntax.File) {
	if len(f.numbers) == 0 {
		return
	}
	f.changed = true
	syntax.Walk(file, func(node syntax.Node) bool {
		st, ok := node.(*syntax.Stmt)
		if !ok || st.Cmd == nil {
			return true
		}
		number, ok := f.numbers[st.Cmd]
		if !ok {
			return true
		}
		delete(f.numbers, st.Cmd)
		call, isCall := st.Cmd.(*syntax.CallExpr)
		if _, isSubshell := st.Cmd.(*syntax.Subshell); isSubshell || len(st.Redirs) > 0 && !(isCall && len(call.Args) > 0 && call.Args[0].Lit() == "exec") {
			f.reader.commands[number].redirected = len(st.Redirs) > 0
			markAround(st, number)
			return true
		}
		switch cmd := st.Cmd.(type) {
		case *syntax.CallExpr:
			markCall(cmd, number)
		case *syntax.DeclClause:
			cmd.Args = slices.Insert(cmd.Args, 0, &syntax.Assign{Naked: true, Value: &syntax.Word{Parts: []syntax.WordPart{begins(number)}}})
		case *syntax.TestClause:
			markTest(cmd.X, number)
		case *syntax.ArithmCmd:
			cmd.X = &syntax.BinaryArithm{Op: syntax.Comma, X: beginsSum(number), Y: cmd.X}
		}
		return true
	})
}

func markCall(call *syntax.CallExpr, number int) {
	if len(call.Args) > 0 {
		call.Args = slices.Insert(call.Args, 1, &syntax.Word{Parts: []syntax.WordPart{begins(number)}})
		return
	}
	for _, as := range call.Assigns {
		if as.Array != nil || as.Value != nil && strings.HasPrefix(literalStart(as.Value), "~") {
			continue
		}
		var parts []syntax.WordPart
		if as.Value != nil {
			parts = as.Value.Parts
		}
		as.Value = &syntax.Word{Parts: append(slices.Clone(parts), begins(number))}
		return
	}
}

// markTest marks the first word of a test.
func markTest(test syntax.TestExpr, number int) {
	switch test := test.(type) {
	case *syntax.Word:
		test.Parts = append(slices.Clone(test.Parts), begins(number))
	case *syntax.BinaryTest:
		markTest(test.X, number)
	case *syntax.ParenTest:
		markTest(test.X, number)
	case *syntax.UnaryTest:
		if test.Op != syntax.TsVarSet {
			markTest(test.X, number)
		}
	}
}

// markAround is case $((...)) in *) (...) ;; esac, which leaves $? as it is. It is
// for subshells, which have variables of their own, and for redirections, which come
// before the words of a command and are still there when the trap for ERR runs for it,
// but not when it runs for what is around.
func markAround(st *syntax.Stmt, number int) {
	if st.Background || st.Disown {
		return
	}
	at := st.Position
	inner := &syntax.Stmt{Position: at, Cmd: st.Cmd, Redirs: st.Redirs}
	word := &syntax.Word{Parts: []syntax.WordPart{&syntax.ArithmExp{X: beginsSum(number)}}}
	item := &syntax.CaseItem{Op: syntax.Break, Patterns: []*syntax.Word{literalWord("*")}, Stmts: []*syntax.Stmt{inner}}
	st.Redirs, st.Cmd = nil, &syntax.CaseClause{Case: at, In: at, Esac: at, Word: word, Items: []*syntax.CaseItem{item}}
}

// begins is ${__towline_none:+$((__towline_at = 7, __towline_run += 1))}.
func begins(number int) syntax.WordPart {
	return &syntax.ParamExp{Param: &syntax.Lit{Value: noneVariable}, Exp: &syntax.Expansion{
		Op: syntax.AlternateUnsetOrNull, Word: &syntax.Word{Parts: []syntax.WordPart{&syntax.ArithmExp{X: beginsSum(number)}}},
	}}
}

func beginsSum(number int) syntax.ArithmExpr {
	return &syntax.BinaryArithm{
		Op: syntax.Comma,
		X:  &syntax.BinaryArithm{Op: syntax.Assgn, X: literalWord(atVariable), Y: literalWord(strconv.Itoa(number))},
		Y:  &syntax.BinaryArithm{Op: syntax.AddAssgn, X: literalWord(runVariable), Y: literalWord("1")},
	}
}

// begun is the last command that a shell has begun.
func (s *session) begun(hc interp.HandlerContext) watched {
	number, err := strconv.Atoi(hc.Env.Get(atVariable).Str)
	s.reader.mu.Lock()
	defer s.reader.mu.Unlock()
	if err != nil || number < 0 || number >= len(s.reader.commands) {
		return watched{line: uint(s.at.Load())}
	}
	return s.reader.commands[number]
}
