package chart

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Names of GitLab's own chart are put where they belong, and the notes say so.
func TestNamesOfGitLabsChartAreUnderstood(t *testing.T) {
	r := render(t, combinations["from-gitlabs-chart"])
	tunnel := deployment(t, r, "tunnel")
	args := tunnel.Spec.Template.Spec.Containers[0].Args
	for _, want := range []string{"--gitlab-url=https://gitlab.example.com", "--gitlab-ca-file=/etc/towline/gitlab-ca/ca.crt"} {
		if !slices.Contains(args, want) {
			t.Errorf("the tunnel lacks %s: %v", want, args)
		}
	}
	if got := string(find[corev1.Secret](t, r, "Secret/towline-credentials").Data["runner-token"]); got != "glrt-abc" {
		t.Errorf("config.token arrives as %q", got)
	}
	if got := find[corev1.ConfigMap](t, r, "ConfigMap/towline-gitlab-ca").Data["ca.crt"]; !strings.Contains(got, "MIIB") {
		t.Errorf("config.kasCaCert arrives as %q", got)
	}
	if *tunnel.Spec.Replicas != 2 || !gives(tunnel.Spec.Template.Spec.Containers[0], "-", "HTTPS_PROXY") {
		t.Errorf("replicas %d, variables %v", *tunnel.Spec.Replicas, tunnel.Spec.Template.Spec.Containers[0].Env)
	}
	for _, want := range []string{"ServiceAccount/gitlab-agent", "ClusterRoleBinding/towline:towline:agent", "ServiceMonitor/towline-tunnel"} {
		if !r.has(want) {
			t.Errorf("no %s", want)
		}
	}
	if r.has("ConfigMap/towline-config") {
		t.Error("names of GitLab's chart are taken for the agent's configuration")
	}
	for _, notice := range []string{
		"config.token is taken for", "config.kasAddress is taken for gitlab.url, as https://gitlab.example.com", "config.kasCaCert is taken for",
		"rbac.useExistingRole gives the ClusterRole deploy-everywhere", "serviceAccount.create is taken", "serviceAccount.name is taken",
		"serviceAccount.annotations are taken", "extraEnv is taken", "serviceMonitor.enabled is taken", "replicas is taken for tunnel.replicas",
	} {
		if !strings.Contains(r.notes, "NOTICE: "+notice) {
			t.Errorf("the notes do not say %q:\n%s", notice, r.notes)
		}
	}
}

func TestASecretOfGitLabsChartIsRead(t *testing.T) {
	r := render(t, "gitlab: {url: 'https://gitlab.example.com'}\nagent: a/b:c\nconfig: {secretName: agent-token}\n")
	for _, v := range deployment(t, r, "tunnel").Spec.Template.Spec.Volumes {
		if v.Name == "runner" && (v.Secret.SecretName != "agent-token" || v.Secret.Items[0].Key != "token") {
			t.Errorf("the token comes from %s/%s", v.Secret.SecretName, v.Secret.Items[0].Key)
		}
	}
}

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
