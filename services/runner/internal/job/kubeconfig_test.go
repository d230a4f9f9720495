package job

import (
	"strings"
	"testing"

	"github.com/towline/towline/pkg/jobspec"
)

// agents is what GitLab puts into the list of a job that may use an agent.
var agents = jobspec.Variable{Key: "KUBECONFIG", File: true, Value: `---
apiVersion: v1
kind: Config
clusters:
- name: gitlab
  cluster:
    server: https://gitlab.example.com/-/kubernetes-agent/k8s-proxy/
users:
- name: agent:5
  user:
    token: ci:5:glcbt-64_x
contexts:
- name: acme/agents:prod
  context:
    cluster: gitlab
    user: agent:5
`}

func TestAKubeconfigOfTheProject(t *testing.T) {
	const warned = "KUBECONFIG is set by the job's variables: "
	foreign := agents
	foreign.Value = strings.Replace(agents.Value, "ci:5:glcbt-64_x", "eyJhbGciOi", 1)
	merged := agents
	merged.Value += "current-context: gitlab-deploy\n"
	path := jobspec.Variable{Key: "KUBECONFIG", Value: "$CI_PROJECT_DIR/cluster.yaml"}
	empty := jobspec.Variable{Key: "KUBECONFIG"}
	for name, c := range map[string]struct {
		list   jobspec.Variables
		said   string // what KUBECONFIG is, in a job that runs
		warned bool
	}{
		"none":                        {nil, "TEMP/KUBECONFIG\nagent's\n", false},
		"GitLab's":                    {jobspec.Variables{agents}, "TEMP/KUBECONFIG\nagent's\n", false},
		"a file":                      {jobspec.Variables{agents, foreign}, "", false},
		"a file without an agent":     {jobspec.Variables{foreign}, "", false},
		"what is no kubeconfig":       {jobspec.Variables{agents, {Key: "KUBECONFIG", Value: "text: [", File: true}}, "", false},
		"a certificate's cluster too": {jobspec.Variables{merged}, "", false},
		"overridden with nothing":     {jobspec.Variables{agents, foreign, empty}, "TEMP/KUBECONFIG\nagent's\n", false},
		"a path":                      {jobspec.Variables{agents, path}, "PROJECT/cluster.yaml\nown\n", true},
		"a path below GitLab's":       {jobspec.Variables{path, agents}, "TEMP/KUBECONFIG\nagent's\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			spec := testSpec(t, "echo own > cluster.yaml", `echo "$KUBECONFIG"`, `cat "$KUBECONFIG"`).with(c.list...)
			spec.Kubeconfig = "agent's\n"
			got := runJob(t, spec)
			if strings.Contains(got.runner, warned) != c.warned {
				t.Errorf("log %q", got.runner)
			}
			if c.said == "" {
				if got.started != 0 || got.result.FailureReason != ReasonConfiguration || !strings.Contains(got.runner, "ERROR: Job failed: the variable KUBECONFIG holds a kubeconfig of your own") {
					t.Errorf("result %+v, log %q", got.result, got.runner)
				}
				return
			}
			said := strings.NewReplacer(spec.TempDir, "TEMP", spec.ProjectDir, "PROJECT").Replace(got.said())
			if said != c.said || got.result.State != StateSuccess {
				t.Errorf("said %q, result %+v", said, got.result)
			}
		})
	}
}
