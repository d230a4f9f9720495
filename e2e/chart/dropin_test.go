package chart

import (
	"slices"
	"strings"
	"testing"
)

func TestAddressesOfKASBecomeGitLabs(t *testing.T) {
	for kas, want := range map[string]string{
		"wss://kas.gitlab.com":                              "https://gitlab.com",
		"wss://gitlab.example.com/-/kubernetes-agent/":      "https://gitlab.example.com",
		"ws://gitlab.example.com:8080/-/kubernetes-agent":   "http://gitlab.example.com:8080",
		"wss://gitlab.example.com:8443/-/kubernetes-agent/": "https://gitlab.example.com:8443",
	} {
		r := render(t, "agent: a/b:c\ncredentials: {runner: {existingSecret: x}}\nconfig: {kasAddress: '"+kas+"'}\n")
		if args := deployment(t, r, "tunnel").Spec.Template.Spec.Containers[0].Args; !slices.Contains(args, "--gitlab-url="+want) {
			t.Errorf("%s: %v, want %s", kas, args, want)
		}
	}
}

// What only the agent tunnel could honour ends the rendering, each with one
// sentence.
func TestWhatOnlyKASHonoursIsRefused(t *testing.T) {
	for values, want := range map[string]string{
		"config: {token: glagent-abc}":                    "config.token is an agent's token (glagent-), which only the agent tunnel (KAS) honours",
		"gitlab: {}\nconfig: {kasAddress: 'grpcs://kas'}": "config.kasAddress is an address that only the agent tunnel (KAS) honours",
		"config: {kasHeaders: ['Cookie: gitlab_canary']}": "config.kasHeaders are headers that only the agent tunnel (KAS) honours",
		"config: {receptive: {enabled: true}}":            "config.receptive is what only the agent tunnel (KAS) honours",
		"rbac: {useExistingRole: cluster-admin}":          "rbac.useExistingRole is cluster-admin, which this chart gives to nobody",
	} {
		_, err := renderFor(t, target{release: release, namespace: "towline"}, minimal+"\n---\n"+values+"\n")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "glagent-abc") {
			t.Errorf("%s: %v, want %q", values, err, want)
		}
	}
}

// A slip is answered with the right name, whatever slip it is.
func TestASlipIsAnsweredWithTheRightName(t *testing.T) {
	for values, want := range map[string]string{
		"gitlap: {url: x}":                                     "gitlab",
		"gitlab: {URL: x}":                                     "url",
		"tunnel: {replica: 1}":                                 "replicas",
		"runner: {draintimeout: 1h}":                           "drainTimeout",
		"runner: {drain_timeout: 1h}":                          "drainTimeout",
		"redis: {embedded: {storage: {clasName: x}}}":          "className",
		"redis: {extrenal: {}}":                                "external",
		"networkPolicy: {redis: {cidr: []}}":                   "cidrs",
		"policy: {resources: {request: {}}}":                   "requests",
		"policy: {tolerations: [{keys: x}]}":                   "key",
		"access: {bindings: [{projects: 1, namespaces: [a]}]}": "project",
		"monitoring: {alert: {enabled: true}}":                 "alerts",
		"credentials: {runner: {existing_secret: x}}":          "existingSecret",
		"tls: {certmanager: {}}":                               "certManager",
	} {
		_, err := renderFor(t, target{release: release, namespace: "towline"}, values+"\n")
		if err == nil || !strings.Contains(err.Error(), "misspelt: it is "+want+"'") {
			t.Errorf("%s: %v, want %s named", values, err, want)
		}
	}
}
