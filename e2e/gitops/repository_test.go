package gitops

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// Releases of charts in repositories: the entries' files, if any, are those of
// the configuration project.
const releases = `
gitops:
  charts:
    - release_name: stuck # holds up nobody
      namespace: NAMESPACE
      source: {repository: {url: "http://HOST/stuck", chart: web}}
    - release_name: web
      namespace: NAMESPACE
      namespaces: [NAMESPACE]
      interval: 10s
      source: {repository: {url: "http://HOST/charts", chart: web, version: "~1.0", secret: repository}}
      max_history: 5
      values:
        - inline: {color: inline, size: inline, password: none}
        - url: {url: "http://HOST/values.yaml", poll_period: 10s}
        - config_map: {name: web-values, key: prod.yaml}
        - secret: {name: web-secret, key: password, target: password}
        - secret: {name: nothing, optional: true}
      patches: [{patch: "[{op: add, path: /data/patched, value: 'yes'}]", target: {kind: ConfigMap, name: web}}]
      drift: correct
      ignore: [{kind: ConfigMap, name: web, paths: [/data/ignored]}]
      tests: require
      jobs: [acme/apps/shop]
      atomic: true
      timeout: 30s
      on_removal: uninstall
    - release_name: api
      namespace: NAMESPACE
      source: {repository: {url: "oci://HOST/charts", chart: web, secret: registry, plain_http: true}}
      depends_on: [NAMESPACE/web]
      values: [{file: {project_id: acme/apps/shop, file: values/api.yaml}}]
    - release_name: slow
      namespace: NAMESPACE
      source: {repository: {url: "oci://HOST/charts", chart: web, version: 0.1.0, secret: registry, plain_http: true}}
      wait: true
      timeout: 2s
      install: {on_failure: uninstall, attempts: 1}
      jobs: [acme/apps/shop]
    - release_name: nowhere
      namespace: NAMESPACE
      source: {repository: {url: "http://127.0.0.1:1/charts", chart: web}}
`

var webTemplates = map[string]string{
	"a.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data:
  version: {{ .Chart.Version | quote }}
  color: {{ .Values.color | quote }}
  size: {{ .Values.size | quote }}
  password: {{ .Values.password | quote }}
  ignored: "0"
`,
	"test.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-test", annotations: {helm.sh/hook: test}}
data: {ran: "yes"}
`,
}

func with(templates map[string]string, name, text string) map[string]string {
	out := map[string]string{name: text}
	for k, v := range templates {
		out[k] = v
	}
	return out
}

func TestReleasesOfRepositories(t *testing.T) {
	charts := newChartServer(t)
	charts.values = "color: url\nsize: url\n"
	charts.publish("0.1.0", map[string]string{"a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: slow}\nspec:\n  selector: {matchLabels: {a: b}}\n  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}\n"})
	for _, version := range []string{"1.0.0", "1.0.1", "1.1.0"} {
		charts.publish(version, webTemplates)
	}
	token := t.TempDir() + "/agents.token"
	b := openWith(t, jobAccess, "gitops: {}", map[string]string{"values/api.yaml": "color: elsewhere"}, "--gitops-tokens="+agentProject+"="+token, "--egress-hosts="+charts.host)
	text, err := b.gitlab.CreateAccessToken(sim.AccessTokenOptions{Project: agentProject, Scopes: []string{"api"}})
	b.must(err)
	b.must(os.WriteFile(token, []byte(text), 0o600))
	b.object(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web-values"}, Data: map[string]string{"prod.yaml": "size: map\n"}})
	b.secret("web-secret", corev1.SecretTypeOpaque, map[string]string{"password": "geheim1"})
	b.secret("repository", corev1.SecretTypeBasicAuth, map[string]string{"username": chartUser, "password": chartPassword})
	b.secret("registry", corev1.SecretTypeDockerConfigJson, map[string]string{
		".dockerconfigjson": `{"auths": {"` + charts.host + `": {"username": "` + chartUser + `", "password": "` + chartPassword + `"}}}`,
	})
	config := strings.ReplaceAll(releases, "HOST", charts.host)
	said := func(entry, sha, state string) string {
		t.Helper()
		return b.statusIn(agentProject, b.namespace+"/"+entry, sha, state)
	}
	again := func(comment string) string {
		t.Helper()
		return b.configure("# " + comment + "\n" + config)
	}

	first := again("first")
	if got := said("web", first, "success"); got != "web 1.0.1, revision 1 deployed" {
		t.Errorf("the newest of ~1.0: %q", got)
	}
	want := map[string]string{"version": "1.0.1", "color": "url", "size": "map", "password": "geheim1", "patched": "yes", "ignored": "0"}
	b.holds("web", want)
	if b.data("web-test") == nil {
		t.Error("the chart's test was not run")
	}
	if got := said("api", first, "success"); got != "web 1.1.0, revision 1 deployed" || b.data("api")["version"] != "1.1.0" || b.data("api")["color"] != "elsewhere" || b.data("api-test") != nil {
		t.Errorf("the newest of the registry: %q, %v", got, b.data("api"))
	}
	b.push(map[string]string{"values/api.yaml": "color: changed"})
	b.eventually("values of another project", func(context.Context) bool { return b.data("api")["color"] == "changed" })
	if got := said("slow", first, "failed"); !strings.Contains(got, "install of chart web 0.1.0") || !strings.Contains(got, "uninstalled") {
		t.Errorf("an installation that never gets ready: %q", got)
	}
	b.Allow("gitlab:ci_job", "edit")
	j := b.job(shop, "towline diff --dir . "+b.namespace+"/slow")
	b.expect(j, 2, "release "+b.namespace+"/slow: chart web 0.1.0: the release has failed as often as it may be tried") // it was fetched
	j = b.job(shop, "towline diff --dir . "+b.namespace+"/web")
	b.expect(j, 2, "values[1]: jobs are not told the addresses of values")
	if got := said("nowhere", first, "failed"); !strings.Contains(got, "127.0.0.1:1 is not among the hosts") {
		t.Errorf("a host that is not allowed: %q", got)
	}

	_, err = b.kube.CoreV1().ConfigMaps(b.namespace).Patch(t.Context(), "web", types.MergePatchType, []byte(`{"data": {"color": "by hand", "ignored": "5"}}`), metav1.PatchOptions{})
	b.must(err)
	// Of the entry's interval and the commit, the first to come corrects it.
	if got := said("web", again("drift"), "success"); !strings.HasPrefix(got, "web 1.0.1, revision 1 deployed") {
		t.Errorf("drift: %q", got)
	}
	b.eventually("the event of drift", func(ctx context.Context) bool {
		list, err := b.kube.CoreV1().Events(b.namespace).List(ctx, metav1.ListOptions{FieldSelector: "source=towline,involvedObject.name=web"})
		return err == nil && slices.ContainsFunc(list.Items, func(e corev1.Event) bool {
			return strings.HasSuffix(e.Message, ": web 1.0.1, revision 1 deployed, 1 had drifted")
		})
	})
	want["ignored"] = "5"
	b.holds("web", want)
	charts.mu.Lock()
	if n := charts.pulls["web-1.0.1.tgz"]; n != 1 {
		t.Errorf("an unchanged chart was fetched %d times", n)
	}
	charts.mu.Unlock()

	charts.publish("1.0.2", webTemplates)
	charts.mu.Lock()
	charts.values = "color: newer\n"
	charts.mu.Unlock()
	b.eventually("a new version and other values, without a commit", func(context.Context) bool {
		d := b.data("web")
		return d["version"] == "1.0.2" && d["color"] == "newer"
	})
	want["version"], want["color"], want["ignored"] = "1.0.2", "newer", "0"
	b.holds("web", want)

	charts.publish("1.0.3", with(webTemplates, "bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NOT_A_NAME}\n"))
	if got := said("web", again("faulty"), "failed"); !strings.Contains(got, "upgrade of chart web 1.0.3") {
		t.Errorf("a faulty version: %q", got)
	}
	b.holds("web", want)
	if out := b.helm(b.namespace, "history", "web"); !regexp.MustCompile("Rollback to [23]").MatchString(out) { // 3 if a sync came between the version and the values
		t.Errorf("not rolled back:\n%s", out)
	}

	if charts.stuck.Load() == 0 {
		t.Error("the server that hardly answers was not asked")
	}
	b.configure("gitops: {charts: []}")
	b.eventually("the release that goes with its entry", func(context.Context) bool { return b.data("web") == nil })
	if out := b.helm(b.namespace, "list", "--short"); strings.TrimSpace(out) != "api" {
		t.Errorf("releases that are left: %s", out)
	}
	charts.publish("1.0.4", webTemplates)
	if got := said("web", again("back"), "success"); !strings.HasPrefix(got, "web 1.0.4, revision ") {
		t.Errorf("the entry comes back: %q", got)
	}
}

// holds compares all data of a ConfigMap.
func (b *bench) holds(name string, want map[string]string) {
	b.Helper()
	got := b.data(name)
	for k, v := range want {
		if got[k] != v {
			b.Errorf("%s of %s is %q, want %q", k, name, got[k], v)
		}
	}
	if len(got) != len(want) {
		b.Errorf("%s holds %v", name, got)
	}
}

func (b *bench) object(m *corev1.ConfigMap) {
	b.Helper()
	_, err := b.kube.CoreV1().ConfigMaps(b.namespace).Create(b.Context(), m, metav1.CreateOptions{})
	b.must(err)
}

func (b *bench) secret(name string, kind corev1.SecretType, data map[string]string) {
	b.Helper()
	_, err := b.kube.CoreV1().Secrets(b.namespace).Create(b.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: kind, StringData: data}, metav1.CreateOptions{})
	b.must(err)
}
