package shell

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// fault is something that the interpreter cannot do.
type fault struct {
	line uint
	text string
}

// inspect looks for what would fail or go wrong halfway through a script, so
// that it is said before anything has happened.
func inspect(file *syntax.File) *fault {
	var found *fault
	report := func(node syntax.Node, text string) {
		if text != "" && found == nil {
			found = &fault{node.Pos().Line(), text}
		}
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		if found != nil {
			return false
		}
		switch node := node.(type) {
		case *syntax.Redirect:
			report(node, redirectFault(node))
		case *syntax.CoprocClause:
			report(node, "coproc is not supported on this runner; use a pipe or a background command")
		case *syntax.DeclClause:
			report(node, declFault(node))
		case *syntax.ParamExp:
			report(node, expansionFault(node))
		case *syntax.ArithmExp:
			report(node, sumFault(node.X))
		case *syntax.ArithmCmd:
			report(node, sumFault(node.X))
		case *syntax.CallExpr:
			report(node, callFault(node))
			for _, word := range node.Args {
				report(word, bracesFault(word))
			}
		case *syntax.WordIter:
			for _, word := range node.Items {
				report(word, bracesFault(word))
			}
		}
		return true
	})
	return found
}

var badNumber = regexp.MustCompile(`^0[0-7]*[89][0-9]*$`)

// sumFault says which number of a sum is none: the interpreter would count it as 0.
func sumFault(sum syntax.ArithmExpr) string {
	switch sum := sum.(type) {
	case *syntax.Word:
		if number := sum.Lit(); badNumber.MatchString(number) {
			return number + ": not a number: one that begins with 0 is octal; write 10#" + number
		}
	case *syntax.ParenArithm:
		return sumFault(sum.X)
	case *syntax.UnaryArithm:
		return sumFault(sum.X)
	case *syntax.BinaryArithm:
		if fault := sumFault(sum.X); fault != "" {
			return fault
		}
		if word, ok := sum.Y.(*syntax.Word); ok && word.Lit() == "0" && (sum.Op == syntax.Quo || sum.Op == syntax.Rem) {
			return "division by 0"
		}
		return sumFault(sum.Y)
	}
	return ""
}

// redirectFault says what is wrong with a redirection: the interpreter has the
// three standard descriptors only.
func redirectFault(r *syntax.Redirect) string {
	const only = "only the descriptors 0, 1 and 2 can be redirected on this runner"
	if r.N != nil {
		if strings.HasPrefix(r.N.Value, "{") {
			return fmt.Sprintf("descriptor %s: %s; use a file or a variable", r.N.Value, only)
		}
		if n, err := strconv.Atoi(r.N.Value); err != nil || n > 2 {
			return fmt.Sprintf("descriptor %s: %s; use a file or a variable", r.N.Value, only)
		}
	}
	if r.Op != syntax.DplOut && r.Op != syntax.DplIn || r.Word == nil {
		if r.Op == syntax.RdrInOut {
			return "<> is not supported on this runner; open the file for reading or for writing"
		}
		return ""
	}
	target := r.Word.Lit()
	if n, err := strconv.Atoi(strings.TrimSuffix(target, "-")); err == nil && n > 2 {
		return fmt.Sprintf("descriptor %d: %s; use a file or a variable", n, only)
	}
	return ""
}

// expansionFault says which expansion of a parameter would come out wrong.
func expansionFault(p *syntax.ParamExp) string {
	switch {
	case p.Exp != nil && p.Exp.Word != nil && p.Exp.Op >= syntax.RemSmallSuffix && p.Exp.Op <= syntax.RemLargePrefix:
		if extended.MatchString(literalStart(p.Exp.Word)) {
			return "extended patterns such as @(a|b) are not supported inside ${...} on this runner; use sed"
		}
	}
	return ""
}

// extended is how an extended pattern looks in the text of an expansion.
var extended = regexp.MustCompile(`[@+?*!]\(`)

func literalStart(word *syntax.Word) string {
	if len(word.Parts) == 0 {
		return ""
	}
	if lit, ok := word.Parts[0].(*syntax.Lit); ok {
		return lit.Value
	}
	return ""
}

// declFault says which option of declare and its like would be misunderstood.
func declFault(d *syntax.DeclClause) string {
	known := "xraAngfp"
	switch d.Variant.Value {
	case "export":
		known = "p"
	case "readonly":
		known = "aAp"
	}
	for _, arg := range d.Args {
		if arg.Name != nil || arg.Value == nil {
			continue
		}
		flags := arg.Value.Lit()
		if len(flags) < 2 || flags[0] != '-' && flags[0] != '+' || flags == "--" {
			continue
		}
		for _, flag := range flags[1:] {
			if !strings.ContainsRune(known, flag) {
				return fmt.Sprintf("%s %s: this option is not supported on this runner%s", d.Variant.Value, flags, instead(d.Variant.Value, flag))
			}
		}
	}
	return ""
}

func instead(variant string, flag rune) string {
	switch {
	case variant == "export" && flag == 'f':
		return "; functions are not passed to other shells: put the function into a file and source it"
	case flag == 'i':
		return "; use $((...)) where the number is computed"
	case flag == 'l' || flag == 'u':
		return "; use ${name,,} or ${name^^} where the value is used"
	}
	return ""
}

// callFault says which builtin cannot do what it is asked for.
func callFault(c *syntax.CallExpr) string {
	if len(c.Args) == 0 || c.Args[0].Lit() != "read" && c.Args[0].Lit() != "mapfile" && c.Args[0].Lit() != "readarray" {
		return ""
	}
	for i, arg := range c.Args[1:] {
		value := ""
		switch flag := arg.Lit(); {
		case flag == "-u" && i+2 < len(c.Args):
			value = c.Args[i+2].Lit()
		case strings.HasPrefix(flag, "-u"):
			value = flag[2:]
		default:
			continue
		}
		if n, err := strconv.Atoi(value); err == nil && n > 0 {
			return fmt.Sprintf("%s -u %d: only the descriptors 0, 1 and 2 exist on this runner; redirect standard input instead", c.Args[0].Lit(), n)
		}
	}
	return ""
}

// bracesFault says whether a brace expansion is too large to be made.
func bracesFault(word *syntax.Word) string {
	braced := &syntax.Word{Parts: append([]syntax.WordPart(nil), word.Parts...)}
	if !syntax.SplitBraces(braced) {
		return ""
	}
	for _, err := range expand.BracesSeq(nil, braced) {
		if err != nil {
			return fmt.Sprintf("%v; use a loop such as `for ((i = 1; i <= n; i++))` or seq", err)
		}
	}
	return ""
}
