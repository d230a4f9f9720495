package health

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Rule says of the objects of a kind when they are what they should be, where
// kstatus does not know: expressions of CEL over the object.
type Rule struct {
	Group, Kind string
	// Healthy holds of an object that is what it should be.
	Healthy string
	// Failed, if given, holds of one that will not become so without help.
	Failed string
}

// Limits of expressions.
const (
	maxExpression = 2000    // characters
	maxCost       = 100_000 // in CEL's units, of which a comparison takes one
	checkEvery    = 100     // steps between looks at the context
)

// Checks are compiled rules. A nil one has none.
type Checks struct{ byKind map[schema.GroupKind]check }

type check struct{ healthy, failed cel.Program }

// parts are the variables of an expression, beside the whole object.
var parts = []string{"metadata", "spec", "status", "data"}

// Compile reads rules. The error names the one that is wrong.
func Compile(rules []Rule) (*Checks, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	options := []cel.EnvOption{ext.Strings(), cel.Variable("object", cel.DynType)}
	for _, p := range parts {
		options = append(options, cel.Variable(p, cel.DynType))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, err
	}
	c := &Checks{map[schema.GroupKind]check{}}
	for i, r := range rules {
		kind := schema.GroupKind{Group: r.Group, Kind: r.Kind}
		if _, twice := c.byKind[kind]; twice {
			return nil, fmt.Errorf("health[%d]: a second rule for %s; keep one", i, kind)
		}
		var made check
		if made.healthy, err = compile(env, r.Healthy); err != nil {
			return nil, fmt.Errorf("health[%d].healthy: %w", i, err)
		}
		if r.Failed != "" {
			if made.failed, err = compile(env, r.Failed); err != nil {
				return nil, fmt.Errorf("health[%d].failed: %w", i, err)
			}
		}
		c.byKind[kind] = made
	}
	return c, nil
}

func compile(env *cel.Env, expression string) (cel.Program, error) {
	if len(expression) > maxExpression {
		return nil, fmt.Errorf("longer than %d characters", maxExpression)
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, fmt.Errorf("not an expression of CEL over %s or object: %s", strings.Join(parts, ", "), oneLine(issues.Err()))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it gives %s; write one that is true or false", t)
	}
	return env.Program(ast, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(checkEvery))
}

// knows says whether there is a rule for a kind.
func (c *Checks) knows(kind schema.GroupKind) bool {
	if c == nil {
		return false
	}
	_, ok := c.byKind[kind]
	return ok
}

// Of tells one object's status, by a rule if there is one for its kind.
func (c *Checks) Of(ctx context.Context, o *unstructured.Unstructured) Status {
	kind := o.GroupVersionKind().GroupKind()
	if !c.knows(kind) {
		return Of(o)
	}
	seen, given, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
	switch {
	case o.GetDeletionTimestamp() != nil:
		return Status{Progressing, "it is being deleted"}
	case given && seen < o.GetGeneration():
		return Status{Progressing, "its controller has not looked at the newest version yet"}
	}
	rule, variables := c.byKind[kind], variablesOf(o)
	if rule.failed != nil {
		if failed, _ := holds(ctx, rule.failed, variables); failed {
			return Status{Failed, "the expression failed of health holds"}
		}
	}
	switch healthy, err := holds(ctx, rule.healthy, variables); {
	case err != nil:
		return Status{Progressing, "the expression healthy of health: " + oneLine(err)}
	case !healthy:
		return Status{Progressing, "the expression healthy of health does not hold"}
	}
	return Status{Healthy, ""}
}

// variablesOf are what expressions see. A part that is not there is empty.
func variablesOf(o *unstructured.Unstructured) map[string]any {
	out := map[string]any{"object": o.Object}
	for _, p := range parts {
		if out[p] = o.Object[p]; out[p] == nil {
			out[p] = map[string]any{}
		}
	}
	return out
}

func holds(ctx context.Context, p cel.Program, variables map[string]any) (bool, error) {
	v, _, err := p.ContextEval(ctx, variables)
	if err != nil {
		return false, err
	}
	held, ok := v.Value().(bool)
	if !ok {
		return false, fmt.Errorf("it gives %s, not true or false", v.Type().TypeName())
	}
	return held, nil
}

// oneLine is what CEL says, without its picture of the place.
func oneLine(err error) string {
	text, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	return strings.TrimPrefix(text, "ERROR: <input>:")
}
