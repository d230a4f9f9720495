package rules

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
	"k8s.io/apiserver/pkg/cel/library"

	"github.com/towline/towline/pkg/strictyaml"
)

// compiler turns the expressions of one file into programs and collects what is
// wrong with them.
type compiler struct {
	lines  []string // of the file
	envs   map[Stage]*cel.Env
	faults strictyaml.Faults
}

// program compiles one expression; nil when it is not there or wrong.
func (c *compiler) program(v *strictyaml.Value, stage Stage, want *cel.Type) cel.Program {
	if v == nil {
		return nil
	}
	text := v.Text()
	switch {
	case strings.TrimSpace(text) == "":
		return c.refuse(v, "is empty", "write a CEL expression, or remove the key")
	case len(text) > MaxExpression:
		return c.refuse(v, fmt.Sprintf("%d bytes are over the limit of %d bytes", len(text), MaxExpression), "split it into several rules")
	}
	env := c.envs[stage]
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			f := v.Fault(oneLine(e.Message), remedy(e.Message, stage))
			f.Line, f.Column = c.place(v, e.Location.Line(), e.Location.Column())
			c.faults = append(c.faults, f)
		}
		return nil
	}
	if !ast.OutputType().IsExactType(want) {
		return c.refuse(v, fmt.Sprintf("gives %s, want %s", typeName(ast.OutputType()), typeName(want)), "compare or combine the parts so that the whole gives "+typeName(want))
	}
	cost, err := env.EstimateCost(ast, estimator)
	if err != nil {
		return c.refuse(v, "its cost cannot be estimated: "+oneLine(err.Error()), "write it more simply")
	}
	if cost.Max > MaxCost {
		return c.refuse(v, fmt.Sprintf("may cost %d units and the limit is %d", cost.Max, MaxCost), "avoid lists inside lists and patterns over long lists")
	}
	p, err := env.Program(ast, cel.CostLimit(MaxCost), cel.OptimizeRegex(interpreter.MatchesRegexOptimization, library.FindRegexOptimization, library.FindAllRegexOptimization))
	if err != nil {
		return c.refuse(v, oneLine(err.Error()), "")
	}
	return p
}

func (c *compiler) refuse(v *strictyaml.Value, problem, remedy string) cel.Program {
	c.faults = append(c.faults, v.Fault(problem, remedy))
	return nil
}

// place finds a place inside an expression in the file, as far as the way in
// which the text is written lets it be told: a folded text keeps no lines. line
// counts from 1, column from 0, as CEL has them.
func (c *compiler) place(v *strictyaml.Value, line, column int) (fileLine, fileColumn int) {
	fileLine, fileColumn = v.Place()
	if fileLine < 1 || fileLine > len(c.lines) {
		return fileLine, fileColumn
	}
	rest := c.lines[fileLine-1]
	rest = rest[min(len(rest), fileColumn-1):]
	switch {
	case strings.HasPrefix(rest, "|") && fileLine+line <= len(c.lines):
		text := c.lines[fileLine] // the first line says how deep the block is
		return fileLine + line, len(text) - len(strings.TrimLeft(text, " ")) + column + 1
	case strings.HasPrefix(rest, "|"), strings.HasPrefix(rest, ">"), line > 1:
		return fileLine, fileColumn
	case strings.HasPrefix(rest, `"`), strings.HasPrefix(rest, "'"):
		column++
	}
	return fileLine, fileColumn + column
}

var (
	undeclared = regexp.MustCompile(`undeclared reference to '([^']*)'`)
	undefined  = regexp.MustCompile(`undefined field '([^']*)'`)
	overload   = regexp.MustCompile(`found no matching overload`)
)

// remedy says what to do about a fault that CEL found.
func remedy(message string, stage Stage) string {
	word := ""
	if m := undeclared.FindStringSubmatch(message); m != nil {
		word = m[1]
	} else if m := undefined.FindStringSubmatch(message); m != nil {
		word = m[1]
	}
	switch {
	case word == "request":
		return `a request is known in rules with stage: request only`
	case word != "":
		if near := strictyaml.Closest(word, names(stage)); near != "" {
			return fmt.Sprintf("did you mean %q?", near)
		}
		return "docs/guide/rules.md lists what rules may speak of"
	case overload.MatchString(message):
		return "the two sides are of different types, or the function takes others"
	}
	return ""
}

// oneLine is the first line of a message of CEL, without its drawing of the
// place.
func oneLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	s = strings.TrimSuffix(strings.TrimPrefix(s, "ERROR: "), " (in container '')")
	return strings.ReplaceAll(s, "towline.", "")
}

func typeName(t *cel.Type) string {
	switch {
	case t.IsExactType(types.BoolType):
		return "true or false"
	case t.IsExactType(listOfTexts):
		return "a list of texts"
	case t.Kind() == types.ListKind:
		return "a list of other things"
	case t.IsExactType(types.StringType):
		return "a text"
	case t.IsExactType(types.IntType), t.IsExactType(types.DoubleType), t.IsExactType(types.UintType):
		return "a number"
	default:
		return strings.ReplaceAll(t.String(), "towline.", "")
	}
}

// sizes tells how long texts and lists can be, for the estimate of costs.
type sizes struct{}

// EstimateSize implements checker.CostEstimator.
func (sizes) EstimateSize(n checker.AstNode) *checker.SizeEstimate {
	switch path := n.Path(); {
	case n.Type().Kind() == types.StringKind, n.Type().Kind() == types.BytesKind:
		return &checker.SizeEstimate{Max: maxText}
	case n.Type().Kind() != types.ListKind:
		return nil
	case len(path) > 0 && (path[0] == "namespaces" || path[0] == "identity"):
		return &checker.SizeEstimate{Max: maxList}
	default:
		return &checker.SizeEstimate{Max: maxGroups}
	}
}

// EstimateCallCost implements checker.CostEstimator.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

var estimator = &library.CostEstimator{SizeEstimator: sizes{}}
