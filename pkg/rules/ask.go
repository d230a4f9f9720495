package rules

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/towline/towline/pkg/access"
	"github.com/towline/towline/pkg/grant"
)

// Verdict is what the rules say of a job.
type Verdict struct {
	// Refusals are why the job is refused, the first rule first; empty when it
	// is not.
	Refusals []string
	// Rule is the rule that decided: the first that refused, else the first of
	// the allow rules that let the job in; "" when none had a say.
	Rule string
	// Remedy says what to do about the refusals.
	Remedy string
	// Namespaces are what is left of the job's; empty means what RBAC allows.
	Namespaces []string
	// Reasons say what the rules did to a job that is not refused.
	Reasons []string
}

// Refused says whether a rule refused.
func (v Verdict) Refused() bool { return len(v.Refusals) > 0 }

const (
	// maxRefusals is how many refusals of one job are told.
	maxRefusals = 10
	// maxTold bounds what is told of a failure, of a list or of an expression.
	maxTold = 300
)

// Job asks the rules of the stage "job" about what policy is going to sign.
// Every rule sees the namespaces as they are before the rules: what one says
// never depends on another.
func (s *Set) Job(c *grant.Claims, now time.Time) Verdict {
	v := Verdict{Namespaces: c.Namespaces}
	if s == nil {
		return v
	}
	a := &asked{facts: &facts{claims: c, now: now, namespaces: some(c.Namespaces)}}
	for _, r := range s.rules[StageJob] {
		if r.kind == namespaces {
			v.refuse(r, a.narrow(r, &v))
		}
	}
	for _, r := range s.rules[StageJob] {
		if r.kind == deny || r.kind == require {
			v.refuse(r, a.restrict(r))
		}
	}
	by, err := a.allowed(s.rules[StageJob])
	switch {
	case err != nil:
		v.refuse(by, err)
	case by != nil && !v.Refused():
		v.Rule = by.String()
		v.Reasons = append(v.Reasons, by.String()+" of the cluster's owner lets the job in")
	}
	if v.Refused() {
		v.Reasons, v.Namespaces = nil, nil
	}
	return v
}

// Request asks the rules of the stage "request". Its error is for the job, which
// is shown it; nil lets the request pass.
func (s *Set) Request(c *grant.Claims, r access.Request, now time.Time) error {
	if s == nil || len(s.rules[StageRequest]) == 0 {
		return nil
	}
	a := &asked{facts: &facts{claims: c, request: &r, now: now, namespaces: some(c.Namespaces)}}
	for _, r := range s.rules[StageRequest] {
		if r.kind == deny || r.kind == require {
			if err := a.restrict(r); err != nil {
				return err
			}
		}
	}
	_, err := a.allowed(s.rules[StageRequest])
	return err
}

// refuse notes a refusal; r is nil when no single rule made it.
func (v *Verdict) refuse(r *rule, err error) {
	if err == nil {
		return
	}
	if len(v.Refusals) == 0 {
		v.Remedy = "follow the rule, or ask the owner of this cluster to change it"
		if f, ok := errors.AsType[*failure](err); ok {
			v.Remedy = f.remedy
		}
		v.Rule = "the allow rules of the cluster's owner"
		if r != nil {
			v.Rule = r.String()
		}
	}
	if len(v.Refusals) < maxRefusals {
		v.Refusals = append(v.Refusals, err.Error())
	}
}

// failure is a rule that could not be evaluated.
type failure struct {
	rule   *rule
	why    string
	remedy string
}

// toRepair is the remedy for a failure that is the rule's own.
const toRepair = "ask the owner of this cluster to repair the rule: what cannot be evaluated refuses"

func (f *failure) Error() string {
	return fmt.Sprintf("%s of the cluster's owner could not be evaluated and therefore refuses: %s", f.rule, f.why)
}

// asked is one round of questions.
type asked struct {
	*facts
	spent uint64
}

// applies evaluates when; a rule without one always applies.
func (a *asked) applies(r *rule) (bool, error) {
	if r.when == nil {
		return true, nil
	}
	return a.truth(r, true)
}

func (a *asked) truth(r *rule, when bool) (bool, error) {
	v, err := a.value(r, when)
	if err != nil {
		return false, err
	}
	b, ok := v.Value().(bool)
	if !ok {
		return false, &failure{r, "it gave no answer", toRepair}
	}
	return b, nil
}

func (a *asked) value(r *rule, when bool) (ref.Val, error) {
	if a.spent > MaxTotalCost {
		return nil, &failure{r, fmt.Sprintf("the rules before it have spent what all may cost together, %d units", MaxTotalCost), toRepair}
	}
	program := r.body
	if when {
		program = r.when
	}
	v, details, err := program.Eval(a.facts)
	if cost := details.ActualCost(); cost != nil {
		a.spent += *cost
	}
	if err != nil {
		why, remedy := a.explain(err)
		return nil, &failure{r, why, remedy}
	}
	return v, nil
}

// explain says why an expression failed, and of the two facts that may be
// missing, what that means and what helps.
func (a *asked) explain(err error) (why, remedy string) {
	text := told(oneLine(err.Error()))
	key, missing := strings.CutPrefix(text, "no such key: ")
	_, ofToken := variables["id_token"].Fields[key]
	switch {
	case !missing:
		return text, toRepair
	case key == "name" && a.claims.Facts.Environment != nil && a.claims.Facts.Environment.Name == "":
		return "the name of the job's environment could not be verified with GitLab",
			"run the job again; if that repeats, ask the owner of this cluster whether Towline may read the project's environments"
	case ofToken && a.claims.Facts.IDToken == nil:
		return fmt.Sprintf("it asks for id_token.%s, and the job has no ID token for Towline", key),
			"give the job an ID token for Towline under id_tokens in .gitlab-ci.yml; the owner of this cluster knows its audience"
	case ofToken:
		return fmt.Sprintf("it asks for id_token.%s, and the job's ID token does not say it", key),
			fmt.Sprintf("ask the owner of this cluster to let the rule ask with has(id_token.%s) first", key)
	}
	return text, toRepair
}

// restrict asks a deny or a require.
func (a *asked) restrict(r *rule) error {
	on, err := a.applies(r)
	if err != nil || !on {
		return err
	}
	holds, err := a.truth(r, false)
	switch {
	case err != nil:
		return err
	case r.kind == deny && holds:
		return fmt.Errorf("%s of the cluster's owner refuses: %s", r, r.message)
	case r.kind == require && !holds:
		return fmt.Errorf("%s of the cluster's owner is not met: %s", r, r.message)
	}
	return nil
}

// allowed asks the allow rules that apply: if there are any, one has to hold,
// which is returned. With an error the rule is the one that failed, or nil.
func (a *asked) allowed(all []*rule) (*rule, error) {
	var missed []string
	var failed *rule
	var failure error
	for _, r := range all {
		if r.kind != allow {
			continue
		}
		on, err := a.applies(r)
		if err == nil && !on {
			continue
		}
		holds := false
		if err == nil {
			holds, err = a.truth(r, false)
		}
		switch {
		case holds:
			return r, nil
		case err != nil && failure == nil:
			failed, failure = r, err
		}
		missed = append(missed, missing(r))
	}
	switch {
	case failure != nil:
		return failed, failure
	case len(missed) > 0:
		return nil, fmt.Errorf("none of the allow rules of the cluster's owner holds: %s", told(strings.Join(missed, "; ")))
	}
	return nil, nil
}

func missing(r *rule) string {
	if r.message == "" {
		return r.String()
	}
	return r.String() + ": " + r.message
}

// narrow keeps the job inside the namespaces that a rule lists.
func (a *asked) narrow(r *rule, v *Verdict) error {
	on, err := a.applies(r)
	if err != nil || !on {
		return err
	}
	val, err := a.value(r, false)
	if err != nil {
		return err
	}
	native, err := val.ConvertToNative(textsType)
	list, ok := native.([]string)
	switch {
	case err != nil || !ok:
		return &failure{r, "it gave no list of texts", toRepair}
	case len(list) > grant.MaxNamespaces:
		return &failure{r, fmt.Sprintf("it lists %d namespaces, and a grant holds %d", len(list), grant.MaxNamespaces), toRepair}
	}
	for _, n := range list {
		if problems := validation.IsDNS1123Label(n); len(problems) > 0 {
			return &failure{r, fmt.Sprintf("it lists %q, which is not the name of a namespace", told(n)), toRepair}
		}
	}
	list = slices.Compact(slices.Sorted(slices.Values(list)))
	left := list
	if len(v.Namespaces) > 0 {
		left = slices.DeleteFunc(slices.Clone(v.Namespaces), func(n string) bool { return !slices.Contains(list, n) })
	}
	if len(left) == 0 {
		why := fmt.Sprintf("%s of the cluster's owner leaves the job no namespace: it lets it use %s", r, listed(list))
		if len(v.Namespaces) > 0 {
			why += ", and the job may use " + listed(v.Namespaces)
		}
		if r.message != "" {
			why += ": " + r.message
		}
		return errors.New(why)
	}
	v.Namespaces = left
	v.Reasons = append(v.Reasons, fmt.Sprintf("%s of the cluster's owner keeps the job inside %s", r, listed(left)))
	return nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return told(strings.Join(names, ", "))
}

func told(s string) string {
	if len(s) <= maxTold {
		return s
	}
	return strings.ToValidUTF8(s[:maxTold], "") + "..."
}

var textsType = reflect.TypeFor[[]string]()
