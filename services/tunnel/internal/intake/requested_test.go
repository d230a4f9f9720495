package intake

import (
	"testing"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// deployed is the environment of these tests as its last deployment left it.
func deployed() *gitlab.Environment {
	e := &gitlab.Environment{Name: "production", Slug: "prod", ClusterAgent: &gitlab.ClusterAgent{Name: "old"}, KubernetesNamespace: "old"}
	e.ClusterAgent.ConfigProject.Path = "acme/agents"
	return e
}

const pipeline = `deploy: {environment: {name: production, kubernetes: {agent: "$WHERE:prod", namespace: "shop-$CI_ENVIRONMENT_SLUG"}}}`

func TestWhichAgentAndNamespaceAJobAsksFor(t *testing.T) {
	t.Parallel()
	noEnvironment := truth(t)
	noEnvironment.Environment = nil
	hidden, stranger := deployed(), deployed()
	hidden.ClusterAgent, hidden.KubernetesNamespace = nil, ""
	stranger.Slug = "other"
	name := jobspec.Variable{Key: "CI_ENVIRONMENT_NAME", Value: "production"}
	where := jobspec.Variable{Key: "WHERE", Value: "acme/agents"}
	context := jobspec.Variable{Key: "KUBE_CONTEXT", Value: "acme/agents:variable"}
	namespace := jobspec.Variable{Key: "KUBE_NAMESPACE", Value: "variable"}
	type wish = policyapi.Requested
	from := func(s policyapi.Source, value string) wish { return wish{Value: value, Source: s} }
	for name, tt := range map[string]struct {
		w                *witnessed
		vars             []jobspec.Variable
		agent, namespace wish
	}{
		"nothing": {&witnessed{agents: truth(t)}, nil, wish{}, wish{}},
		"the environment's last deployment": {
			&witnessed{agents: truth(t), env: deployed()},
			[]jobspec.Variable{name},
			from(policyapi.FromEnvironment, "acme/agents:old"),
			from(policyapi.FromEnvironment, "old"),
		},
		"an environment whose agent may not be seen": {&witnessed{agents: truth(t), env: hidden}, []jobspec.Variable{name}, wish{}, wish{}},
		"the file comes first": {
			&witnessed{agents: truth(t), env: deployed(), file: pipeline},
			[]jobspec.Variable{name, where, {Key: "CI_ENVIRONMENT_SLUG", Value: "prod"}},
			from(policyapi.FromPipelineFile, "acme/agents:prod"),
			from(policyapi.FromPipelineFile, "shop-prod"),
		},
		"a variable names the agent, but not the namespace": {
			&witnessed{agents: truth(t), env: deployed(), file: pipeline},
			[]jobspec.Variable{name, where, context, namespace, {Key: "CI_ENVIRONMENT_SLUG", Value: "prod"}},
			from(policyapi.FromKubeContext, "acme/agents:variable"),
			from(policyapi.FromPipelineFile, "shop-prod"),
		},
		"variables only": {
			&witnessed{agents: truth(t)},
			[]jobspec.Variable{context, namespace},
			from(policyapi.FromKubeContext, "acme/agents:variable"),
			from(policyapi.FromKubeNamespace, "variable"),
		},
		"a file that does not say it": {
			&witnessed{agents: truth(t), env: deployed(), file: "deploy: {extends: .deploy, environment: production}"},
			[]jobspec.Variable{name},
			from(policyapi.FromEnvironment, "acme/agents:old"),
			from(policyapi.FromEnvironment, "old"),
		},
		"another environment than GitLab's":     {&witnessed{agents: truth(t), env: stranger}, []jobspec.Variable{name}, wish{}, wish{}},
		"a job without environment at GitLab":   {&witnessed{agents: noEnvironment, env: deployed(), file: pipeline}, []jobspec.Variable{name, where}, wish{}, wish{}},
		"a file that is not looked for":         {&witnessed{agents: truth(t), file: pipeline}, []jobspec.Variable{where}, wish{}, wish{}},
		"a namespace that cannot be one":        {&witnessed{agents: truth(t)}, []jobspec.Variable{{Key: "KUBE_NAMESPACE", Value: string(make([]byte, 64))}}, wish{}, wish{}},
		"references that lead nowhere":          {&witnessed{agents: truth(t), file: `deploy: {environment: {kubernetes: {agent: $NOWHERE, namespace: "${NOWHERE}"}}}`}, []jobspec.Variable{name}, wish{}, wish{}},
		"GitLab does not let the token be used": {&witnessed{agentsErr: gitlab.ErrRefused, env: deployed(), file: pipeline}, []jobspec.Variable{name, where}, wish{}, wish{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &judge{decision: allowed}
			a := admit(t, tt.w, j, tt.vars...)
			a.must(a.err)
			if e := j.evidence[0]; e.RequestedAgent != tt.agent || e.RequestedNamespace != tt.namespace {
				t.Errorf("agent %+v, namespace %+v", e.RequestedAgent, e.RequestedNamespace)
			}
		})
	}
}
