package shell

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

const (
	writableCommand = "__towline_writable" // ends the shell when a variable is readonly
	secondsCommand  = "__towline_seconds"  // prints $SECONDS
	beganVariable   = "__towline_began"    // when SECONDS was 0, in seconds since 1970
)

// learn remembers what the text says that changes how the rest is read.
func (f *fitter) learn(file *syntax.File) {
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.DeclClause:
			f.declare(node)
		case *syntax.ParamExp:
			if !f.reader.begun {
				f.reader.use(node)
			}
			f.reader.pipes = f.reader.pipes || node.Param != nil && node.Param.Value == "PIPESTATUS"
		case *syntax.CallExpr:
			f.reader.inherit = f.reader.inherit || inherits(node)
		}
		return true
	})
	f.reader.begun = true
}

// inherits recognises shopt -s inherit_errexit and set -o posix.
func inherits(call *syntax.CallExpr) bool {
	const words = 3
	if len(call.Args) < words {
		return false
	}
	name, flag := call.Args[0].Lit(), call.Args[1].Lit()
	for _, arg := range call.Args[2:] {
		if name == "shopt" && flag == "-s" && arg.Lit() == "inherit_errexit" || name == "set" && flag == "-o" && arg.Lit() == "posix" {
			return true
		}
	}
	return false
}

// declare remembers the names of associative arrays and of what is readonly.
func (f *fitter) declare(d *syntax.DeclClause) {
	isMap, constant := false, d.Variant.Value == "readonly"
	for _, arg := range d.Args {
		switch {
		case arg.Name == nil && arg.Value != nil && strings.HasPrefix(arg.Value.Lit(), "-"):
			isMap = isMap || strings.Contains(arg.Value.Lit(), "A")
			constant = constant || strings.Contains(arg.Value.Lit(), "r")
		case arg.Name != nil:
			f.reader.maps[arg.Name.Value] = f.reader.maps[arg.Name.Value] || isMap
			f.reader.constants[arg.Name.Value] = f.reader.constants[arg.Name.Value] || constant
		}
	}
}

// options takes apart options that are written as one word: the interpreter sees
// the first letter only.
func (f *fitter) options(d *syntax.DeclClause) {
	var out []*syntax.Assign
	for _, arg := range d.Args {
		flags := ""
		if arg.Name == nil && arg.Value != nil {
			flags = arg.Value.Lit()
		}
		if len(flags) < 2 || flags[0] != '-' || flags == "--" {
			out = append(out, arg)
			continue
		}
		for _, flag := range flags[1:] {
			out = append(out, &syntax.Assign{Naked: true, Value: literalWord("-" + string(flag))})
		}
	}
	f.changed = f.changed || len(out) != len(d.Args)
	d.Args = out
}

// assigned fits the assignments of a statement that has nothing else, and
// returns what must run before it.
func (f *fitter) assigned(call *syntax.CallExpr) []*syntax.Stmt {
	var before []*syntax.Stmt
	var out []*syntax.Assign
	for _, as := range call.Assigns {
		if f.reader.constants[as.Name.Value] {
			check := command(writableCommand, as.Name.Value)
			check.Cmd.(*syntax.CallExpr).Args[0].Parts[0].(*syntax.Lit).ValuePos = as.Pos()
			before = append(before, check)
		}
		switch {
		case as.Array != nil && f.reader.maps[as.Name.Value] && keyed(as.Array):
			out = append(out, mapped(as)...)
		case as.Index != nil:
			out = append(out, empty(as.Name.Value), element(as))
		default:
			out = append(out, as)
		}
	}
	f.changed = f.changed || len(out) != len(call.Assigns)
	call.Assigns = out
	return before
}

// isSet makes [[ -v name[key] ]] ask for the element: the interpreter knows
// variables only.
func (f *fitter) isSet(test *syntax.UnaryTest) {
	word, ok := test.X.(*syntax.Word)
	if !ok || test.Op != syntax.TsVarSet || len(word.Parts) == 0 {
		return
	}
	parts := joined(word.Parts)
	name, start, indexed := strings.Cut(literalStart(&syntax.Word{Parts: parts}), "[")
	if !indexed || !syntax.ValidName(name) {
		return
	}
	parts[0] = &syntax.Lit{Value: start}
	last, ok := parts[len(parts)-1].(*syntax.Lit)
	if !ok || !strings.HasSuffix(last.Value, "]") {
		return
	}
	parts[len(parts)-1] = &syntax.Lit{Value: strings.TrimSuffix(last.Value, "]")}
	test.Op, f.changed = syntax.TsNempStr, true
	test.X = &syntax.Word{Parts: []syntax.WordPart{&syntax.ParamExp{
		Param: &syntax.Lit{Value: name}, Index: &syntax.Word{Parts: slices.DeleteFunc(parts, isNothing)},
		Exp: &syntax.Expansion{Op: syntax.AlternateUnset, Word: literalWord("set")},
	}}}
}

// joined makes one of literals that follow each other.
func joined(parts []syntax.WordPart) []syntax.WordPart {
	var out []syntax.WordPart
	for _, part := range parts {
		lit, ok := part.(*syntax.Lit)
		if last := len(out) - 1; ok && last >= 0 {
			if before, ok := out[last].(*syntax.Lit); ok {
				out[last] = &syntax.Lit{Value: before.Value + lit.Value}
				continue
			}
		}
		out = append(out, part)
	}
	return out
}

func isNothing(part syntax.WordPart) bool {
	lit, ok := part.(*syntax.Lit)
	return ok && lit.Value == ""
}

// emptied is the assignment of () to an associative array, which the interpreter
// would make an indexed one.
func (f *fitter) emptied(st *syntax.Stmt, call *syntax.CallExpr) {
	if len(call.Assigns) != 1 {
		return
	}
	as := call.Assigns[0]
	if as.Array == nil || as.Append || len(as.Array.Elems) > 0 || !f.reader.maps[as.Name.Value] {
		return
	}
	option := &syntax.Assign{Naked: true, Value: literalWord("-gA")} // options takes it apart
	st.Cmd = &syntax.DeclClause{Variant: &syntax.Lit{ValuePos: as.Pos(), Value: "declare"}, Args: []*syntax.Assign{option, as}}
	f.changed = true
}

// empty is name+=(): it changes nothing but that the interpreter knows from then
// on that the array is set.
func empty(name string) *syntax.Assign {
	return &syntax.Assign{Append: true, Name: &syntax.Lit{Value: name}, Array: &syntax.ArrayExpr{}}
}

// element is an assignment to one element, without the += that the interpreter
// knows for whole variables only.
func element(as *syntax.Assign) *syntax.Assign {
	if !as.Append || as.Value == nil {
		return as
	}
	before := &syntax.ParamExp{Param: &syntax.Lit{Value: as.Name.Value}, Index: as.Index, Exp: &syntax.Expansion{Op: syntax.DefaultUnset}}
	parts := []syntax.WordPart{&syntax.DblQuoted{Parts: []syntax.WordPart{before}}}
	return &syntax.Assign{Name: as.Name, Index: as.Index, Value: &syntax.Word{Parts: append(parts, as.Value.Parts...)}}
}

// keyed says whether all elements have keys.
func keyed(array *syntax.ArrayExpr) bool {
	for _, element := range array.Elems {
		if _, ok := element.Index.(*syntax.Word); !ok {
			return false
		}
	}
	return len(array.Elems) > 0
}

// mapped is an assignment to an associative array. The interpreter knows by the
// quotes of the first key that it is one, and cannot add to one.
func mapped(as *syntax.Assign) []*syntax.Assign {
	if as.Append {
		out := []*syntax.Assign{empty(as.Name.Value)}
		for _, element := range as.Array.Elems {
			out = append(out, &syntax.Assign{Name: as.Name, Index: element.Index, Value: element.Value})
		}
		return out
	}
	first := as.Array.Elems[0]
	if key := first.Index.(*syntax.Word); !stringKey(key) {
		first.Index = &syntax.Word{Parts: []syntax.WordPart{&syntax.DblQuoted{Parts: key.Parts}}}
	}
	return []*syntax.Assign{as}
}

func stringKey(key *syntax.Word) bool {
	if len(key.Parts) != 1 {
		return false
	}
	switch key.Parts[0].(type) {
	case *syntax.SglQuoted, *syntax.DblQuoted:
		return true
	}
	return false
}

// assign points SECONDS to the variable that says when it was 0.
func (f *fitter) assign(as *syntax.Assign) {
	if as.Name == nil || as.Name.Value != "SECONDS" || as.Value == nil || as.Append {
		return
	}
	stmt := command(secondsCommand)
	call := stmt.Cmd.(*syntax.CallExpr)
	call.Args = append(call.Args, as.Value)
	as.Name = &syntax.Lit{Value: beganVariable}
	as.Value = &syntax.Word{Parts: []syntax.WordPart{&syntax.CmdSubst{Stmts: []*syntax.Stmt{stmt}}}}
	f.changed = true
}

// arithm does the same for a name in a sum, and has the line for LINENO.
func (f *fitter) arithm(expr *syntax.ArithmExpr) {
	word, ok := (*expr).(*syntax.Word)
	switch {
	case !ok:
	case word.Lit() == "SECONDS":
		*expr = &syntax.Word{Parts: []syntax.WordPart{&syntax.CmdSubst{Stmts: []*syntax.Stmt{command(secondsCommand)}}}}
		f.changed = true
	case word.Lit() == "LINENO" && f.event != "ERR":
		*expr = literalWord(strconv.FormatUint(uint64(f.reader.line(f.offset+word.Pos().Line())), 10))
		f.changed = true
	}
}

// seconds prints how long the shell runs, or with an argument when SECONDS was 0
// if it is that now.
func (s *session) seconds(_ context.Context, hc interp.HandlerContext, args []string) int {
	now := time.Now().Unix()
	if len(args) > 0 {
		set, _ := strconv.ParseInt(args[0], 10, 64)
		fmt.Fprintln(hc.Stdout, now-set)
		return 0
	}
	began, err := strconv.ParseInt(hc.Env.Get(beganVariable).Str, 10, 64)
	if err != nil {
		began = s.began.Unix()
	}
	fmt.Fprintln(hc.Stdout, now-began)
	return 0
}

// writable ends the shell when one of the variables is readonly.
func (s *session) writable(_ context.Context, hc interp.HandlerContext, args []string) int {
	for _, name := range args {
		if hc.Env.Get(name).ReadOnly {
			return -s.fault(hc, exitFailure, "%s: readonly variable", name)
		}
	}
	return 0
}

// redirect makes of >| a redirection to a name that is marked, and of >&file what
// &>file is.
func (f *fitter) redirect(r *syntax.Redirect) {
	switch {
	case r.Op == syntax.RdrClob && r.Word != nil:
		r.Word.Parts = append(r.Word.Parts, &syntax.SglQuoted{Value: clobber})
		r.Op, f.changed = syntax.RdrOut, true
	case r.Op == syntax.DplOut && r.N == nil && r.Word != nil && !isDescriptor(r.Word.Lit()):
		r.Op, f.changed = syntax.RdrAll, true
	}
}

func isDescriptor(text string) bool {
	_, err := strconv.Atoi(strings.TrimSuffix(text, "-"))
	return err == nil || text == "-" || text == ""
}
