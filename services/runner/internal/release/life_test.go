//go:build integration

package release

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	helmrelease "helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// failing is webChart with a Service that no server accepts if port says so.
func failing() map[string]string {
	texts := webChart()
	texts["templates/zservice.yaml"] = `apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: {{ .Values.port | default 80 }}}]}
`
	return texts
}

func failure(t *testing.T, err error) *Failure {
	t.Helper()
	f := new(Failure)
	if !errors.As(err, &f) {
		t.Fatalf("error %v, want a failure", err)
	}
	return f
}

func TestFailedUpgradeIsRolledBack(t *testing.T) {
	p := newPlace(t)
	spec := p.spec(files(t, failing()), inline("message", "one"))
	spec.Upgrade = Remedy{OnFailure: RemedyRollback, Attempts: 2}
	p.must(t, spec, ActionInstall)
	spec.Values = []Values{inline("message", "two", "port", 70000)}
	for range 2 {
		r, err := p.Reconcile(t.Context(), spec)
		f := failure(t, err)
		if !equal(r.Actions, []Action{ActionUpgrade, ActionRollback}) || f.Remedy == "" || len(f.Log) == 0 || r.Status != "deployed" {
			t.Errorf("%+v, %v", r, err)
		}
		for _, want := range []string{"release " + p.namespace + "/web: upgrade of chart web 1.2.3:", "70000", "rolled back", "last lines of helm:"} {
			if !strings.Contains(f.Error(), want) {
				t.Errorf("%q is not in\n%v", want, f)
			}
		}
		if got := p.config1(t, "web").Data["message"]; got != "one" {
			t.Errorf("message %q after the rollback", got)
		}
	}
	before := p.revisions(t, "web")
	if r, err := p.Reconcile(t.Context(), spec); !errors.Is(err, ErrStalled) || len(r.Actions) > 0 {
		t.Errorf("%v, %v, want it to be stalled", r.Actions, err)
	}
	if after := p.revisions(t, "web"); strings.Join(after, ",") != strings.Join(before, ",") {
		t.Errorf("history %q, before %q", after, before)
	}
	// The content before is what is deployed; no revision is needed to see that.
	spec.Values = []Values{inline("message", "one")}
	p.must(t, spec)
	spec.Values = []Values{inline("message", "three")}
	p.must(t, spec, ActionUpgrade)
}

func TestFailedInstallIsUninstalled(t *testing.T) {
	p := newPlace(t)
	spec := p.spec(files(t, failing()), inline("port", 70000))
	spec.Install = Remedy{OnFailure: RemedyUninstall, Attempts: 1}
	r, err := p.Reconcile(t.Context(), spec)
	if failure(t, err); !equal(r.Actions, []Action{ActionInstall, ActionUninstall}) {
		t.Errorf("%v, %v", r.Actions, err)
	}
	if list, err := p.client.AppsV1().Deployments(p.namespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("%d Deployments left, %v", len(list.Items), err)
	}
	if _, err := p.Reconcile(t.Context(), spec); !errors.Is(err, ErrStalled) {
		t.Errorf("%v, want it to be stalled", err)
	}
	spec.Values = nil
	p.must(t, spec, ActionInstall)
	p.must(t, spec)
}

// TestFailedInstallIsInstalledAgain: hooks of an installation would be left out
// by an upgrade.
func TestFailedInstallIsInstalledAgain(t *testing.T) {
	p := newPlace(t)
	spec := p.spec(files(t, failing()), inline("port", 70000))
	if _, err := p.Reconcile(t.Context(), spec); failure(t, err).Action != ActionInstall {
		t.Error(err)
	}
	spec.Values = nil
	p.must(t, spec, ActionInstall)
	if got := strings.Join(p.revisions(t, "web"), ", "); !strings.HasSuffix(got, "2 deployed") {
		t.Errorf("history %q", got)
	}
}

// leave makes the newest record one that a process has left in the middle.
func (p *place) leave(t *testing.T, status helmrelease.Status, ours bool) {
	t.Helper()
	r, end, err := p.run(t.Context(), &Spec{Name: "web", Namespace: p.namespace})
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	err = r.annotate(func(rel *helmrelease.Release) {
		rel.Info.Status = status
		if !ours {
			rel.Labels[labelDigest] = mark(rel.Version-1, "old")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecovery(t *testing.T) {
	for status, first := range map[helmrelease.Status]Action{
		helmrelease.StatusPendingInstall: ActionInstall, helmrelease.StatusPendingUpgrade: ActionInstall, helmrelease.StatusPendingRollback: ActionInstall,
	} {
		t.Run(status.String(), func(t *testing.T) {
			p := newPlace(t)
			spec := p.spec(files(t, webChart()))
			spec.Install = Remedy{OnFailure: RemedyUninstall, Attempts: 1} // it has not failed
			p.must(t, spec, ActionInstall)
			p.leave(t, status, true)
			p.must(t, spec, ActionRecover, first)
			p.must(t, spec)
		})
	}
	t.Run("uninstalling", func(t *testing.T) {
		p := newPlace(t)
		spec := p.spec(files(t, webChart()))
		p.must(t, spec, ActionInstall)
		p.leave(t, helmrelease.StatusUninstalling, true)
		p.must(t, spec, ActionUninstall, ActionInstall)
	})
	t.Run("somebody else's", func(t *testing.T) {
		p := newPlace(t)
		spec := p.spec(files(t, webChart()))
		p.must(t, spec, ActionInstall)
		p.leave(t, helmrelease.StatusPendingUpgrade, false)
		if _, err := p.Reconcile(t.Context(), spec); !errors.Is(err, ErrBusy) {
			t.Errorf("%v, want it to be left alone", err)
		}
		if _, err := p.Uninstall(t.Context(), Removal{Name: "web", Namespace: p.namespace, Foreign: true}); !errors.Is(err, ErrBusy) {
			t.Errorf("%v, want it to be left alone", err)
		}
		spec.Timeout = time.Millisecond
		p.must(t, spec, ActionRecover, ActionInstall)
	})
}

// TestTheEndOfARun: what waits is given up at once, and the record says so.
func TestTheEndOfARun(t *testing.T) {
	p := newPlace(t)
	spec := p.spec(files(t, webChart()), inline("replicas", 1)) // never ready: there is no kubelet
	spec.Wait = true
	spec.Install = Remedy{OnFailure: RemedyUninstall, Attempts: 1}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		defer cancel(errors.New("a newer commit has come"))
		for ctx.Err() == nil {
			list, err := p.client.AppsV1().Deployments(p.namespace).List(ctx, metav1.ListOptions{})
			if err != nil || len(list.Items) == 1 {
				return
			}
		}
	}()
	started := time.Now()
	_, err := p.Reconcile(ctx, spec)
	if f := failure(t, err); f.Action != ActionInstall || !strings.Contains(err.Error(), "a newer commit has come") {
		t.Error(err)
	}
	if took := time.Since(started); took > time.Minute {
		t.Errorf("the run ended after %s", took)
	}
	if got := p.revisions(t, "web"); len(got) != 1 || got[0] != "1 failed" {
		t.Errorf("history %q", got)
	}
	spec.Wait = false
	p.must(t, spec, ActionInstall) // it was no attempt
}

// TestAnInterruptedUpgradeIsNoAttempt: neither the end of a run nor the death of
// a runner has a good revision rolled back.
func TestAnInterruptedUpgradeIsNoAttempt(t *testing.T) {
	p := newPlace(t)
	dir := files(t, failing())
	spec := p.spec(dir, inline("message", "one"))
	spec.Upgrade = Remedy{OnFailure: RemedyRollback, Attempts: 1}
	p.must(t, spec, ActionInstall)
	spec.Values = []Values{inline("message", "two")}
	e, _ := p.dying(t, 12) // in the middle
	if r, err := e.Reconcile(t.Context(), spec); err == nil || !equal(r.Actions, []Action{ActionUpgrade}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := p.revisions(t, "web"); got[len(got)-1] != "2 pending-upgrade" {
		t.Fatalf("history %q", got)
	}
	p.must(t, spec, ActionRecover, ActionUpgrade)
	spec.Values = []Values{inline("port", 70000)} // what fails by itself counts
	if r, err := p.Reconcile(t.Context(), spec); err == nil || !equal(r.Actions, []Action{ActionUpgrade, ActionRollback}) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := p.Reconcile(t.Context(), spec); !errors.Is(err, ErrStalled) {
		t.Errorf("%v, want it to be stalled", err)
	}
}

func TestUninstall(t *testing.T) {
	p := newPlace(t)
	dir := files(t, webChart())
	removal := Removal{Name: "web", Namespace: p.namespace}
	if r, err := p.Uninstall(t.Context(), removal); err != nil || len(r.Actions) > 0 {
		t.Errorf("%v, %v, want nothing done about nothing", r.Actions, err)
	}
	p.helm(t, "install web "+dir)
	if _, err := p.Uninstall(t.Context(), removal); !errors.Is(err, ErrForeign) {
		t.Errorf("%v, want it to be left alone", err)
	}
	p.must(t, p.spec(dir), ActionUpgrade)
	if _, err := p.Uninstall(t.Context(), removal); err != nil {
		t.Error(err)
	}
	if out := p.helm(t, "list -a -q"); out != "" {
		t.Errorf("helm lists %q", out)
	}
}

// tested is webChart with a test that is a ConfigMap, which succeeds when it can
// be made, unless bad is set.
func tested() map[string]string {
	texts := webChart()
	texts["templates/tests/one.yaml"] = `apiVersion: v1
kind: ConfigMap
metadata:
  name: test-{{ .Release.Revision }}{{ if .Values.bad }}_{{ end }}
  annotations: {helm.sh/hook: test}
`
	return texts
}

func TestTestHooks(t *testing.T) {
	p := newPlace(t)
	spec := p.spec(files(t, tested()))
	spec.Test.Enabled = true
	spec.Upgrade = Remedy{OnFailure: RemedyRollback, Attempts: 1}
	p.must(t, spec, ActionInstall, ActionTest)
	p.must(t, spec)
	p.config1(t, "test-1")

	spec.Values = []Values{inline("bad", true)}
	tolerant := spec
	r, err := p.Reconcile(t.Context(), spec)
	if f := failure(t, err); f.Action != ActionTest || !equal(r.Actions, []Action{ActionUpgrade, ActionTest, ActionRollback}) {
		t.Errorf("%v, %v", r.Actions, err)
	}
	if _, err := p.Reconcile(t.Context(), spec); !errors.Is(err, ErrStalled) {
		t.Errorf("%v, want it to be stalled", err)
	}
	tolerant.Test.Tolerate, tolerant.Upgrade.Attempts = true, 0
	if r := p.must(t, tolerant, ActionUpgrade, ActionTest); len(r.Warnings) != 1 {
		t.Errorf("%q, want one warning", r.Warnings)
	}
	p.must(t, tolerant)
}

func TestValuesFromTheCluster(t *testing.T) {
	p := newPlace(t)
	_, err := p.client.CoreV1().ConfigMaps(p.namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "base"}, Data: map[string]string{"values.yaml": "message: base\nreplicas: 0\n", "bad": "a: [", "list": "- a"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.client.CoreV1().Secrets(p.namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "hush"}, StringData: map[string]string{"password": "correct horse"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	spec := p.spec(files(t, webChart()),
		Values{ConfigMap: &Reference{Name: "base"}},
		Values{Text: []byte("message: file")},
		Values{Secret: &Reference{Name: "hush", Key: "password", Target: "message"}},
		Values{Secret: &Reference{Name: "none", Optional: true}},
	)
	p.must(t, spec, ActionInstall)
	if got := p.config1(t, "web").Data["message"]; got != "correct horse" {
		t.Errorf("message %q, want that of the last source", got)
	}
	for text, values := range map[string]Values{
		"values[0] (the file x): exactly one of":                     {Source: "values[0] (the file x)"},
		"values[0]: ConfigMap " + p.namespace + "/none: ":            {ConfigMap: &Reference{Name: "none"}},
		"values[0]: Secret " + p.namespace + "/hush has no key v":    {Secret: &Reference{Name: "hush", Key: "v"}},
		"values[0]: key bad: error converting YAML to JSON: yaml":    {ConfigMap: &Reference{Name: "base", Key: "bad"}},
		"values[0]: key list: values are a map of keys, not a array": {ConfigMap: &Reference{Name: "base", Key: "list"}},
		`values[0]: "a..b" is no path of keys`:                       {Secret: &Reference{Name: "hush", Key: "password", Target: "a..b"}},
	} {
		spec.Values = []Values{values}
		_, err := p.Reconcile(t.Context(), spec)
		if wrong := new(SpecError); !errors.As(err, &wrong) || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q", err, text)
		}
	}
}

// TestSecretsStayInside: not even an error of the server or of a template shows
// what came from a Secret.
func TestSecretsStayInside(t *testing.T) {
	p := newPlace(t)
	const secret = "correct-horse-battery"
	_, err := p.client.CoreV1().Secrets(p.namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "hush"}, StringData: map[string]string{"values.yaml": "password: " + secret},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, template := range map[string]string{
		"server":   "apiVersion: v1\nkind: Secret\nmetadata: {name: \"{{ .Values.password }}_\"}\n",
		"template": `{{ fail (printf "the password %s is bad" .Values.password) }}`,
		"syntax":   "a: {{ .Values.password }}: [",
	} {
		texts := webChart()
		maps.Copy(texts, map[string]string{"templates/secret.yaml": template})
		spec := p.spec(files(t, texts), Values{Secret: &Reference{Name: "hush"}})
		_, err := p.Reconcile(t.Context(), spec)
		if text := failure(t, err).Error(); strings.Contains(text, secret) || name != "syntax" && !strings.Contains(text, blacked) {
			t.Errorf("%s: %s", name, text)
		}
	}
	texts := webChart()
	texts["values.schema.json"] = `{"properties": {"password": {"type": "integer"}}}`
	_, err = p.Reconcile(t.Context(), p.spec(files(t, texts), Values{Secret: &Reference{Name: "hush"}}))
	if text := failure(t, err).Error(); strings.Contains(text, secret) || !strings.Contains(text, "password") {
		t.Error(text)
	}
}

func TestPatches(t *testing.T) {
	p := newPlace(t)
	spec := p.spec(files(t, webChart()))
	spec.Drift.Mode = DriftCorrect
	p.must(t, spec, ActionInstall)
	spec.Patches = []Patch{
		{Kind: "Deployment", Patch: "- {op: replace, path: /spec/template/spec/containers/0/image, value: mirror.example.com/web:1}"},
		{Patch: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {added: by a patch}\n"},
	}
	p.must(t, spec, ActionUpgrade)
	p.must(t, spec)
	got, err := p.client.AppsV1().Deployments(p.namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if image := got.Spec.Template.Spec.Containers[0].Image; image != "mirror.example.com/web:1" || p.config1(t, "web").Data["added"] == "" {
		t.Errorf("image %q, %v", image, p.config1(t, "web").Data)
	}
	spec.Patches = []Patch{{Patch: "nonsense"}}
	if _, err := p.Reconcile(t.Context(), spec); !strings.Contains(failure(t, err).Error(), "patches") {
		t.Error(err)
	}
}

func TestNamespaces(t *testing.T) {
	p := newPlace(t)
	spec := p.spec(files(t, webChart()))
	spec.Namespace = p.namespace + "-new"
	_, err := p.Reconcile(t.Context(), spec)
	if text := failure(t, err).Error(); !strings.Contains(text, "create_namespace") {
		t.Error(text)
	}
	spec.CreateNamespace = true
	p.must(t, spec, ActionInstall)
	t.Cleanup(func() {
		_ = p.client.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), spec.Namespace, metav1.DeleteOptions{})
	})
}

func TestForeignNamespaces(t *testing.T) {
	p := newPlace(t)
	texts := webChart()
	spec := p.spec(files(t, texts))
	spec.Namespaces = []string{"release-*"}
	p.must(t, spec, ActionInstall)
	for name, text := range map[string]string{
		"ConfigMap kube-system/x": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: kube-system}\n",
		"ClusterRole x":           "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n",
		"Secret default/x":        "apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: default, annotations: {helm.sh/hook: pre-upgrade}}\n",
	} {
		texts["templates/x.yaml"] = text
		spec.Chart.Directory.Root = files(t, texts)
		if _, err := p.Reconcile(t.Context(), spec); !strings.Contains(failure(t, err).Error(), name+": its chart may only have objects in") {
			t.Error(err)
		}
	}
}
