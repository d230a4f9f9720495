package app

import (
	"errors"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/access"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/rules"
)

func TestRulesAreAskedOfEachRequest(t *testing.T) {
	h := around(t)
	const file = "rules: [{name: no-secrets, stage: request, deny: request.resource == 'secrets' && project.path == 'acme/app', message: not for jobs}]"
	r, err := h.build("--rules=" + h.file("rules.yaml", file))
	if err != nil {
		t.Fatal(err)
	}
	w := rules.NewWatcher(r.cfg.rules, rules.Reporter(r.health.Link("again"), r.log))
	owner := ownerRules{w}
	c := &grant.Claims{Job: grant.Job{ID: 1, ProjectPath: "acme/app"}}
	if err := owner.Check(t.Context(), c, access.Request{Verb: "get", Resource: "pods"}); !errors.Is(err, rules.ErrUnusable) {
		t.Errorf("before the rules are read: %v", err)
	}
	w.Check()
	if err := owner.Check(t.Context(), c, access.Request{Verb: "get", Resource: "pods"}); err != nil {
		t.Error(err)
	}
	if err := owner.Check(t.Context(), c, access.Request{Verb: "get", Resource: "secrets"}); err == nil || !strings.Contains(err.Error(), "not for jobs") {
		t.Errorf("a secret: %v", err)
	}
	if r, err = h.build(); err != nil || len(r.rules) != 0 {
		t.Errorf("without --rules: %v, %d stages", err, len(r.rules))
	}
}
