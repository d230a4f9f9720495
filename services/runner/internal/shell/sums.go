package shell

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

const (
	numberCommand   = "__towline_number"      // fails for what is no number
	divisorVariable = "__towline_divisor"     // has the value of one
	lineOfVariable  = "__towline_known_line_" // and a line: is never set, and failing for it is said for that line
)

// sums makes sums fail where they fail under bash. The interpreter takes what is
// no number for 0, and goes on after a division by 0. In
//
//	$((x / y))
//
// y becomes y ? y : ${__towline_known_line_1:?division by 0}, and x is looked at
// by a command when it is 0 and not written so. (( )) fails by itself.
func (f *fitter) sums(file *syntax.File) {
	var found []syntax.Node
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node.(type) {
		case *syntax.ArithmExp, *syntax.ArithmCmd, *syntax.CStyleLoop, *syntax.ParamExp:
			found = append(found, node)
		}
		return true
	})
	for _, node := range found {
		line := f.offset + node.Pos().Line()
		ending, failing := &summing{line: line, ends: true}, &summing{line: line}
		switch node := node.(type) {
		case *syntax.ArithmExp:
			node.X = ending.sum(node.X)
		case *syntax.ArithmCmd:
			node.X = failing.sum(node.X)
		case *syntax.CStyleLoop:
			node.Init, node.Cond, node.Post = failing.sum(node.Init), failing.sum(node.Cond), failing.sum(node.Post)
		case *syntax.ParamExp:
			if node.Slice != nil {
				node.Slice.Offset, node.Slice.Length = ending.sum(node.Slice.Offset), ending.sum(node.Slice.Length)
			}
		}
		f.changed = f.changed || ending.changed || failing.changed
	}
}

// summing goes through one sum.
type summing struct {
	line    uint
	ends    bool // a failure ends the shell
	changed bool
}

func (s *summing) sum(expr syntax.ArithmExpr) syntax.ArithmExpr {
	switch expr := expr.(type) {
	case *syntax.Word:
		if name := operandOf(expr); name != nil {
			return s.unless(expr, s.number(name))
		}
	case *syntax.ParenArithm:
		expr.X = s.sum(expr.X)
	case *syntax.UnaryArithm:
		if expr.Op != syntax.Inc && expr.Op != syntax.Dec {
			expr.X = s.sum(expr.X)
		}
	case *syntax.BinaryArithm:
		s.binary(expr)
	}
	return expr
}

func (s *summing) binary(expr *syntax.BinaryArithm) {
	assigns := expr.Op == syntax.Assgn || computing[expr.Op] != 0
	if !assigns {
		expr.X = s.sum(expr.X)
	}
	if divides := expr.Op == syntax.Quo || expr.Op == syntax.Rem || expr.Op == syntax.QuoAssgn || expr.Op == syntax.RemAssgn; divides && s.ends {
		expr.Y = s.divisor(expr.Y)
		return
	}
	expr.Y = s.sum(expr.Y)
}

// divisor fails when it is 0. It is computed once.
func (s *summing) divisor(expr syntax.ArithmExpr) syntax.ArithmExpr {
	zero := &syntax.ParamExp{Param: &syntax.Lit{Value: lineOfVariable + strconv.FormatUint(uint64(s.line), 10)}, Exp: &syntax.Expansion{
		Op: syntax.ErrorUnsetOrNull, Word: quotedWord("division by 0"),
	}}
	if word, ok := expr.(*syntax.Word); ok {
		if name := operandOf(word); name != nil {
			return s.unless(word, s.number(name), zero)
		}
		if n, err := strconv.Atoi(word.Lit()); err == nil && n != 0 {
			return expr
		}
	}
	computed := &syntax.BinaryArithm{Op: syntax.Assgn, X: literalWord(divisorVariable), Y: s.sum(expr)}
	return s.either(&syntax.ParenArithm{X: computed}, literalWord(divisorVariable), zero)
}

// unless is a value, or when that is 0 what is made of parts.
func (s *summing) unless(value *syntax.Word, parts ...syntax.WordPart) syntax.ArithmExpr {
	return s.either(value, value, parts...)
}

func (s *summing) either(condition, value syntax.ArithmExpr, parts ...syntax.WordPart) syntax.ArithmExpr {
	s.changed = true
	return &syntax.ParenArithm{X: &syntax.BinaryArithm{Op: syntax.TernQuest, X: condition, Y: &syntax.BinaryArithm{
		Op: syntax.TernColon, X: value, Y: &syntax.Word{Parts: parts},
	}}}
}

// number is ${__towline_empty/${name#0}/$(__towline_number "$name")}: a command that
// runs when the value is neither 0 nor empty.
func (s *summing) number(name *syntax.ParamExp) syntax.WordPart {
	rest, value := *name, *name
	rest.Short, value.Short = false, false
	rest.Exp = &syntax.Expansion{Op: syntax.RemSmallPrefix, Word: literalWord("0")}
	how := "fails"
	if s.ends {
		how = "ends"
	}
	check := command(numberCommand, how, strconv.FormatUint(uint64(s.line), 10))
	call := check.Cmd.(*syntax.CallExpr)
	call.Args = append(call.Args, &syntax.Word{Parts: []syntax.WordPart{&syntax.DblQuoted{Parts: []syntax.WordPart{&value}}}})
	return &syntax.ParamExp{Param: &syntax.Lit{Value: emptyVariable}, Repl: &syntax.Replace{
		Orig: &syntax.Word{Parts: []syntax.WordPart{&rest}},
		With: &syntax.Word{Parts: []syntax.WordPart{&syntax.CmdSubst{Stmts: []*syntax.Stmt{check}}}},
	}}
}

// operandOf is the variable that an operand is, nil if it is something else.
func operandOf(word *syntax.Word) *syntax.ParamExp {
	if name := word.Lit(); syntax.ValidName(name) && !special(name) {
		return &syntax.ParamExp{Param: &syntax.Lit{ValuePos: word.Pos(), Value: name}}
	}
	if len(word.Parts) != 1 {
		return nil
	}
	p, ok := word.Parts[0].(*syntax.ParamExp)
	if !ok || p.Param == nil || p.Index != nil || p.Length || !isBare(p) || special(p.Param.Value) {
		return nil
	}
	return p
}

// special says whether a parameter always is a number, or is not to be read twice.
func special(name string) bool {
	return name == "LINENO" || name == "RANDOM" || name == "SRANDOM" || strings.HasPrefix(name, ourPrefix) || strings.ContainsAny(name, "#?@*!-$")
}

var (
	zeros = regexp.MustCompile(`^\s*[+-]?(?:0+|0[xX]0*|[0-9]+#0*)\s*$`)
	octal = regexp.MustCompile(`^\s*[+-]?0[0-9]+\s*$`)
)

// rewriteNumber is the command: its error becomes that of the sum. Its arguments are
// what a failure does, the line, and the value, which the interpreter takes for 0.
func rewriteNumber(_ *session, hc interp.HandlerContext, args []string) ([]string, error) {
	const words, names = 4, 100 // names that a value may lead through
	if len(args) != words {
		return []string{"false"}, nil
	}
	how, line, value := args[1], args[2], args[3]
	for range names {
		if !syntax.ValidName(value) {
			break
		}
		value = hc.Env.Get(value).String()
	}
	said := value + ": not a number; a sum whose variables have more than a number or a name is not supported on this runner"
	switch {
	case value == "" || zeros.MatchString(value):
		return []string{"true"}, nil
	case octal.MatchString(value):
		said = value + ": not a number: one that begins with 0 is octal; write 10#$name"
	}
	if how == "ends" {
		return nil, expand.UnsetParameterError{Node: &syntax.ParamExp{Param: &syntax.Lit{Value: lineOfVariable + line}}, Message: said}
	}
	return nil, errors.New(lineOfVariable + line + ": " + said)
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
