package chart

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestAddressesOfKASBecomeGitLabs(t *testing.T) {
	for kas, want := range map[string]string{
		"wss://kas.gitlab.com":                              "https://gitlab.com",
		"grpcs://kas.gitlab.com":                            "https://gitlab.com",
		"grpcs://kas.gitlab.com:443":                        "https://gitlab.com",
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

// Values of GitLab's chart that say nothing here leave a notice, and no
// config.yaml that lets nobody in.
func TestWhatHasNoMeaningHereIsTold(t *testing.T) {
	for values, want := range map[string]string{
		"{api: {listenAddress: ':8082'}}":                         "config.api is not used",
		"{privateApi: {listenAddress: ':8081'}}":                  "config.privateApi is not used",
		"{operational_container_scanning: {enabled: true}}":       "config.operational_container_scanning is not used",
		"{observability: {enabled: true, tls: {enabled: false}}}": "config.observability.enabled and .tls are not used",
	} {
		r := render(t, minimal+"\n---\n"+withCredentials+"\n---\nconfig: "+values+"\n")
		if !strings.Contains(r.notes, "NOTICE: "+want) || r.has("ConfigMap/towline-config") {
			t.Errorf("%s: a ConfigMap is rendered: %t, and the notes say\n%s", values, r.has("ConfigMap/towline-config"), r.notes)
		}
	}
	r := render(t, minimal+"\n---\nconfig: {observability: {enabled: true, logging: {level: debug}}, ci_access: {projects: [{id: a/b}]}}\n")
	want := "ci_access:\n  projects:\n  - id: a/b\nobservability:\n  logging:\n    level: debug\n"
	if got := find[corev1.ConfigMap](t, r, "ConfigMap/towline-config").Data["config.yaml"]; got != want {
		t.Errorf("config.yaml is %q, want %q", got, want)
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
