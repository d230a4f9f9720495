package gitops

import (
	"context"
	"encoding/base64"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/ledger/redistest"
)

const (
	ofVariables = `
gitops:
  manifest_projects:
    - id: acme/apps/shop
      default_namespace: NAMESPACE
      paths: [{glob: "k8s/*.yaml"}]
      jobs: [acme/deployers]
      substitute:
        vars: {DOMAIN: of-vars}
        gitlab: {variables: [PASSWORD, DOMAIN, IMAGE_TAG], environment: production}
        from: [{kind: ConfigMap, name: values}]
    - name: feature
      id: acme/apps/shop
      ref: {branch: feature}
      default_namespace: NAMESPACE
      paths: [{glob: "feature/*.yaml"}]
      substitute: {gitlab: {variables: [PASSWORD]}}
`
	// What the variables hold; nothing but the cluster may show it.
	firstValue  = "hunter battery-one"
	secondValue = "hunter battery-two"

	settingsFile = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {all: \"${DOMAIN} ${IMAGE_TAG} ${OWN} ${NONE:=default}\"}\n"
	secretFile   = "apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\nstringData: {password: \"${PASSWORD}\"}\n"
)

// untold looks for values in what a text says.
func (b *bench) untold(where, text string) {
	b.Helper()
	if text == "" {
		b.Errorf("%s: there is nothing to look at", where)
	}
	for _, v := range []string{firstValue, secondValue} {
		if strings.Contains(text, v) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(v))) {
			b.Errorf("%s: holds the value of a variable", where)
		}
	}
}

// password is what the Secret of the entry holds.
func (b *bench) password() string {
	b.Helper()
	s, err := b.kube.CoreV1().Secrets(b.namespace).Get(context.Background(), "shop", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return string(s.Data["password"])
}

// lend gives the tunnel another token of the project's.
func (b *bench) lend(level int) {
	b.Helper()
	token, err := b.gitlab.CreateAccessToken(sim.AccessTokenOptions{Project: shop, Scopes: []string{"api"}, Level: level})
	b.must(err)
	b.must(os.WriteFile(b.opts.Dir+"/gitops.token", []byte(token), 0o600))
}

// Variables of GitLab from the API to the cluster, and nowhere else.
func TestVariablesOfGitLab(t *testing.T) {
	b := openWith(t, jobAccess, ofVariables, map[string]string{"k8s/settings.yaml": settingsFile, "k8s/secret.yaml": secretFile})
	b.Expected = append(b.Expected, "variables are read by maintainers")
	b.Project(deployers)
	commands := redistest.Commands(t, b.redis)
	b.must(b.gitlab.SetProtected(shop, "main"))
	_, err := b.kube.CoreV1().ConfigMaps(b.namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "values"}, Data: map[string]string{"IMAGE_TAG": "of-from", "DOMAIN": "of-from", "OWN": "own"},
	}, metav1.CreateOptions{})
	b.must(err)
	set := func(v sim.Variable) { b.must(b.gitlab.SetVariable("project:"+shop, v)) }

	set(sim.Variable{Key: "DOMAIN", Value: "of-gitlab"})
	set(sim.Variable{Key: "IMAGE_TAG", Value: "1.0.0-dev"})
	set(sim.Variable{Key: "IMAGE_TAG", Value: "1.0.0", Scope: "production"})
	absent := b.push(map[string]string{"README.md": "a variable is not there yet"})
	if got := b.status(shop, absent, "failed"); !strings.HasPrefix(got, "substitute.gitlab: variable PASSWORD of project acme/apps/shop is not there; add it") || b.data("settings") != nil {
		t.Errorf("absent: %q", got)
	}
	set(sim.Variable{Key: "PASSWORD", Value: firstValue, Protected: true, Masked: true})
	b.status(shop, b.push(map[string]string{"README.md": "all are there"}), "success")
	if got := b.data("settings")["all"]; got != "of-vars 1.0.0 own default" || b.password() != firstValue {
		t.Errorf("settings hold %q", got)
	}

	set(sim.Variable{Key: "PASSWORD", Value: secondValue, Protected: true, Masked: true})
	b.expect(b.job(deployers, "towline sync acme/apps/shop"), 0, "it is looked at now")
	b.eventually("another value without a commit", func(context.Context) bool { return b.password() == secondValue })

	feature, err := b.gitlab.Push(shop, "feature", map[string]string{"feature/secret.yaml": strings.ReplaceAll(secretFile, "shop", "feature")})
	b.must(err)
	if got := b.status("feature", feature, "failed"); !strings.HasPrefix(got, "substitute.gitlab: variable PASSWORD of project acme/apps/shop is protected, and branch feature is no protected branch or tag") {
		t.Errorf("an unprotected branch: %q", got)
	}

	label := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: label, labels: {x: \"${PASSWORD}\"}}\n"
	if got := b.status(shop, b.push(map[string]string{"k8s/label.yaml": label}), "failed"); !strings.Contains(got, "metadata.labels") || !strings.Contains(got, "[redacted]") {
		t.Errorf("a message with a value: %q", got)
	}
	b.push(map[string]string{"k8s/label.yaml": ""})
	b.comparesVariables()

	b.lend(sim.Developer)
	refused := b.push(map[string]string{"k8s/settings.yaml": strings.Replace(settingsFile, "${OWN}", "changed", 1)})
	if got := b.status(shop, refused, "failed"); !strings.Contains(got, "GitLab refuses the token (403 Forbidden); --gitops-token-file needs a token with the role Maintainer") {
		t.Errorf("no maintainer: %q", got)
	}
	if got := b.data("settings")["all"]; got != "of-vars 1.0.0 own default" {
		t.Errorf("a token without the role has changed something: %q", got)
	}
	b.lend(sim.Maintainer)
	b.eventually("the role again", func(context.Context) bool { return b.data("settings")["all"] == "of-vars 1.0.0 changed default" })

	b.untold("commands to Redis", commands())
	for _, s := range []*rig.Service{b.rig.Policy, b.rig.Tunnel, b.rig.Runner} {
		var log strings.Builder
		for _, l := range s.Lines() {
			log.WriteString(l.String() + "\n")
		}
		b.untold("log of the "+s.Name, log.String())
	}
	b.untoldInEvents()
}

func (b *bench) untoldInEvents() {
	b.Helper()
	list, err := b.kube.CoreV1().Events(b.namespace).List(context.Background(), metav1.ListOptions{})
	b.must(err)
	var told strings.Builder
	for i := range list.Items {
		told.WriteString(list.Items[i].Message + "\n")
	}
	b.untold("events", told.String())
}

// comparesVariables has jobs compare a working tree with the variables that
// GitLab has given them.
func (b *bench) comparesVariables() {
	b.Helper()
	b.Allow("gitlab:ci_job", "edit")
	j := b.job(shop, "towline diff", "export IMAGE_TAG=1.0.0", "towline diff", "unset PASSWORD", "towline diff")
	b.expect(j, 2, "-  all: of-vars 1.0.0 own default\n+  all: of-vars [redacted] own default\n", // the job is of no environment
		"nothing to change, 2 as they are\n", "towline diff: substitute.gitlab: this job has not been given PASSWORD; GitLab gives protected variables")
	b.untold("log of a job", j.log)
}
