package gitlabsim

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kubeconfig is the content of the KUBECONFIG file variable; ok is false when
// no agent authorizes the job (agent-config 2.1). The mutex is held.
func (s *Server) kubeconfig(j *job) (content string, ok bool) {
	grants := s.jobGrants(j)
	if len(grants) == 0 {
		return "", false
	}
	server := s.opts.KASTunnelURL
	if server == "" {
		server = s.url + "/-/kubernetes-agent/k8s-proxy/"
	}
	var contexts, users strings.Builder
	for _, g := range grants {
		a := g.agent
		user := "agent:" + strconv.FormatInt(a.id, 10)
		fmt.Fprintf(&users, "- name: %s\n  user:\n    token: %s\n", quote(user), quote(fmt.Sprintf("ci:%d:%s", a.id, j.token)))
		fmt.Fprintf(&contexts, "- name: %s\n  context:\n    cluster: gitlab\n    user: %s\n", quote(a.project.path+":"+a.name), quote(user))
		if ns, _ := g.config["default_namespace"].(string); ns != "" {
			fmt.Fprintf(&contexts, "    namespace: %s\n", quote(ns))
		}
	}
	return fmt.Sprintf("---\napiVersion: v1\nkind: Config\nclusters:\n- name: gitlab\n  cluster:\n    server: %s\nusers:\n%scontexts:\n%s",
		quote(server), users.String(), contexts.String()), true
}

func quote(text string) string {
	out, err := yaml.Marshal(text)
	if err != nil {
		return strconv.Quote(text)
	}
	return strings.TrimSuffix(string(out), "\n")
}
