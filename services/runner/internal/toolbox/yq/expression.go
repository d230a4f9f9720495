package yq

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	envparse "github.com/a8m/envsubst/parse"
	"github.com/mikefarah/yq/v4/pkg/yqlib"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// envPrefix begins the names under which the script's variables stand in the
// environment of the process while the library looks for them there.
const envPrefix = "TOWLINE_YQ_"

// parser gives expressions the script's environment and directory instead of
// the process's. Parsing happens again during evaluation (eval, split), so it
// is installed as the library's only parser.
type parser struct {
	inner yqlib.ExpressionParserInterface
	inv   tool.Invocation
	set   []string // variables of the process to remove
}

var library = sync.OnceValue(func() yqlib.ExpressionParserInterface {
	yqlib.InitExpressionParser()
	return yqlib.ExpressionParser
})

func newParser(inv tool.Invocation) *parser { return &parser{inner: library(), inv: inv} }

// close takes the variables out of the environment of the process.
func (p *parser) close() {
	for _, name := range p.set {
		_ = os.Unsetenv(name)
	}
}

// ParseExpression implements yqlib.ExpressionParserInterface.
func (p *parser) ParseExpression(expression string) (*yqlib.ExpressionNode, error) {
	node, err := p.inner.ParseExpression(expression)
	if err != nil {
		return nil, err
	}
	return node, p.rewrite(node)
}

func (p *parser) rewrite(node *yqlib.ExpressionNode) error {
	if node == nil {
		return nil
	}
	for _, side := range []*yqlib.ExpressionNode{node.LHS, node.RHS} {
		if err := p.rewrite(side); err != nil {
			return err
		}
	}
	if node.Operation == nil || node.Operation.OperationType == nil {
		return nil
	}
	switch op := node.Operation; {
	case op.OperationType.Type == "ENV":
		return p.variable(op.CandidateNode)
	case strings.HasPrefix(op.OperationType.Type, "ENVSUBST"): // its options follow
		// The parser makes operations anew, but their type is shared: the
		// copy keeps the handler of this command to this command.
		kind := *op.OperationType
		handle(&kind.Handler, p.substitute)
		op.OperationType = &kind
	case op.OperationType.Type == "LOAD", op.OperationType.Type == "LOAD_STRING":
		return p.anchor(node)
	}
	return nil
}

// variable puts a variable where the library will look for it.
func (p *parser) variable(name *yqlib.CandidateNode) error {
	value, _ := p.inv.Getenv(name.Value)
	name.Value = envPrefix + name.Value
	p.set = append(p.set, name.Value)
	if err := os.Setenv(name.Value, value); err != nil {
		return fmt.Errorf("env(%s): %w", strings.TrimPrefix(name.Value, envPrefix), err)
	}
	return nil
}

// anchor makes the file of a load operator relative to the script's directory.
func (p *parser) anchor(load *yqlib.ExpressionNode) error {
	dir := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", "$$").Replace(p.inv.Dir)
	node, err := p.inner.ParseExpression(fmt.Sprintf(`. | sub("^([^/])", "%s/${1}")`, dir))
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	node.LHS, load.RHS = load.RHS, node
	return nil
}

// substitute is the envsubst operator.
func (p *parser) substitute(context yqlib.Context, node *yqlib.ExpressionNode) (yqlib.Context, error) {
	limits := &envparse.Restrictions{NoUnset: preference(node, "NoUnset"), NoEmpty: preference(node, "NoEmpty")}
	text := envparse.New("string", newestFirst(p.inv.Environ), limits)
	text.Mode = envparse.AllErrors
	if preference(node, "FailFast") {
		text.Mode = envparse.Quick
	}
	results := context.ChildContext(nil)
	var out []*yqlib.CandidateNode
	for el := context.MatchingNodes.Front(); el != nil; el = el.Next() {
		candidate, ok := el.Value.(*yqlib.CandidateNode)
		if !ok || candidate.Tag != "!!str" {
			yqlib.GetLogger().Warningf("EnvSubstOperator, env name: %v %v", candidate.Tag, candidate.Value)
			return yqlib.Context{}, fmt.Errorf("cannot substitute with %v, can only substitute strings. Hint: Most often you'll want to use '|=' over '=' for this operation", candidate.Tag)
		}
		value, err := text.Parse(candidate.Value)
		if err != nil {
			return yqlib.Context{}, err
		}
		out = append(out, candidate.CreateReplacement(yqlib.ScalarNode, "!!str", value))
	}
	results.MatchingNodes = asList(out)
	return results, nil
}

// newestFirst turns the environment around: there the last of a variable counts,
// for the parser the first.
func newestFirst(environ []string) []string {
	out := slices.Clone(environ)
	slices.Reverse(out)
	return out
}

// preference reads one of the operator's preferences, whose type is not
// exported.
func preference(node *yqlib.ExpressionNode, name string) bool {
	v := reflect.ValueOf(node.Operation.Preferences)
	return v.Kind() == reflect.Struct && v.FieldByName(name).IsValid() && v.FieldByName(name).Bool()
}

// handle replaces an operator's handler; its first parameter has a type that is
// not exported and is not needed.
func handle[D any, H ~func(D, yqlib.Context, *yqlib.ExpressionNode) (yqlib.Context, error)](
	at *H, with func(yqlib.Context, *yqlib.ExpressionNode) (yqlib.Context, error),
) {
	*at = func(_ D, context yqlib.Context, node *yqlib.ExpressionNode) (yqlib.Context, error) {
		return with(context, node)
	}
}
