package gitops

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
)

// ofDrift is an entry that no commit of the others reaches.
const ofDrift = `
    - {name: drift, id: acme/apps/shop, ref: {branch: drift}, default_namespace: NAMESPACE, paths: [{glob: drift/*}], interval: 10s}
`

// drifts changes by hand what an entry has applied; mended waits until that has
// been put right without a commit, which takes as long as the entry's interval.
func (b *bench) drifts() (mended func()) {
	b.Helper()
	commit, err := b.gitlab.Push(shop, "drift", map[string]string{"drift/a.yaml": configMap("a", "x", "1"), "drift/b.yaml": configMap("b", "x", "1")})
	b.must(err)
	b.came("drift", commit, step{state: succeeds, says: "2 objects, 2 created"})
	maps := b.kube.CoreV1().ConfigMaps(b.namespace)
	_, err = maps.Patch(b.Context(), "a", types.MergePatchType, []byte(`{"data":{"x":"by hand","y":"kept"}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
	b.must(err)
	b.must(maps.Delete(b.Context(), "b", metav1.DeleteOptions{}))
	return func() {
		b.Helper()
		b.eventually("drift", func(context.Context) bool { return b.data("a")["x"] == "1" && b.data("b")["x"] == "1" })
		if got := b.data("a")["y"]; got != "kept" {
			b.Errorf("a field of another manager is %q", got)
		}
		about := fmt.Sprintf("drift at %.8s: 2 objects, 1 created, 1 configured", commit)
		b.eventually("the event of drift", func(context.Context) bool { return b.told("DriftCorrected", about) == 1 })
	}
}

func TestSourcesThatFailChangeNothing(t *testing.T) {
	b := open(t, plain, map[string]string{"k8s/a.yaml": configMap("a", "x", "1")})
	b.Expected = append(b.Expected, "not readable", "no valid token")
	b.eventually("the first commit", func(context.Context) bool { return b.data("a")["x"] == "1" })

	linked, err := b.gitlab.PushSymlink(shop, "", "k8s/passwd.yaml", "/etc/passwd")
	b.must(err)
	if got := b.status(shop, linked, "failed"); !strings.HasPrefix(got, "k8s/passwd.yaml is a symbolic link") {
		t.Errorf("a link: %q", got)
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" +
		"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n"
	blown := b.push(map[string]string{"k8s/passwd.yaml": "", "k8s/bomb.yaml": bomb})
	if got := b.status(shop, blown, "failed"); !strings.HasPrefix(got, "k8s/bomb.yaml:") {
		t.Errorf("a bomb: %q", got)
	}
	nothing := b.push(map[string]string{"k8s/bomb.yaml": "", "k8s/a.yaml": "", "other/a.yaml": "x: 1\n"})
	waited := waitError(t, b, "is not there, or --gitops-token-file may not read it") // the directory of the glob is gone
	if !strings.Contains(waited, nothing[:8]) && waited == "" {
		t.Error("a repository without files is not complained about")
	}
	b.push(map[string]string{"k8s/a.yaml": configMap("a", "x", "2")})
	b.eventually("a good commit", func(context.Context) bool { return b.data("a")["x"] == "2" })

	b.gitlab.RevokeToken(b.token)
	b.push(map[string]string{"k8s/a.yaml": configMap("a", "x", "3")})
	waitError(t, b, "--gitops-token-file needs a token with scope read_api")
	if b.data("a")["x"] != "2" {
		t.Error("a revoked token has changed something")
	}
	fresh, err := b.gitlab.CreateAccessToken(sim.AccessTokenOptions{Project: shop, Scopes: []string{"api"}})
	b.must(err)
	b.must(os.WriteFile(b.opts.Dir+"/gitops.token", []byte(fresh), 0o600))
	b.eventually("a new token", func(context.Context) bool { return b.data("a")["x"] == "3" })

	b.must(b.gitlab.DeleteBranch(shop, "main"))
	waitError(t, b, "the default branch of project "+shop+" is not there")
	if b.data("a")["x"] != "3" {
		t.Error("a deleted branch has changed something")
	}
}

// waitError waits until the tunnel has logged an error with this text.
func waitError(t *testing.T, b *bench, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	l, err := b.rig.Tunnel.WaitLine(ctx, func(l rig.Line) bool { return strings.Contains(l.Text("error"), text) })
	if err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return l.Text("error")
}

func TestARunnerThatDiesLosesNothing(t *testing.T) {
	t.Parallel() // it waits for the dead runner's lease most of the time
	files := map[string]string{}
	for _, name := range strings.Fields("c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 c10 c11 c12 c13 c14 c15 c16 c17 c18 c19") {
		files["k8s/"+name+".yaml"] = configMap(name, "x", "1")
	}
	b := open(t, plain, files)
	b.eventually("the first commit", func(context.Context) bool { return b.data("c0")["x"] == "1" && b.data("c9")["x"] == "1" })
	for name := range files {
		files[name] = strings.Replace(files[name], `"1"`, `"2"`, 1)
	}
	files["k8s/c0.yaml"] = ""
	last := b.push(files)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	_, err := b.rig.Runner.WaitLine(ctx, func(l rig.Line) bool { return l.Text("msg") == "sync begins" && l.Text("commit") == last })
	cancel()
	b.must(err)
	b.rig.Runner.Kill()
	b.must(b.rig.StartRunner(t.Context()))
	b.status(shop, last, "success")
	list, err := b.kube.CoreV1().ConfigMaps(b.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "applyset.kubernetes.io/part-of"})
	b.must(err)
	if len(list.Items) != len(files)-1 {
		t.Errorf("%d objects are left of %d", len(list.Items), len(files)-1)
	}
	for _, o := range list.Items {
		if o.Data["x"] != "2" {
			t.Errorf("%s holds %v", o.Name, o.Data)
		}
	}
}

func TestEntriesOfOneProject(t *testing.T) {
	const two = `
gitops:
  manifest_projects:
    - {name: base, id: acme/apps/shop, default_namespace: NAMESPACE, paths: [{glob: "base/*.yaml"}]}
    - name: app
      id: acme/apps/shop
      default_namespace: NAMESPACE
      kustomize: {path: overlays/prod}
      substitute: {vars: {REPLICAS: "3"}, from: [{kind: ConfigMap, name: values}]}
      namespaces: [NAMESPACE]
      depends_on: [base]
    - {name: asleep, id: acme/apps/shop, default_namespace: NAMESPACE, suspend: true, paths: [{glob: "asleep/*"}]}
    - {name: thief, depends_on: [base], id: acme/apps/shop, default_namespace: NAMESPACE, paths: [{glob: "thief/*"}]}
    - {name: elsewhere, id: acme/apps/shop, default_namespace: NAMESPACE, namespaces: [NAMESPACE], paths: [{glob: "elsewhere/*"}]}
`
	b := open(t, two, map[string]string{
		"base/values.yaml":                 configMap("values", "HOST", "shop.example.com"),
		"common/kustomization.yaml":        "resources: [a.yaml]\n",
		"common/a.yaml":                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {host: \"${HOST}\", replicas: \"${REPLICAS}\", color: \"${COLOR:=blue}\", text: \"$${HOST}\"}\n",
		"overlays/prod/kustomization.yaml": "resources: [../../common]\nnamePrefix: prod-\n",
		"asleep/a.yaml":                    configMap("asleep", "x", "1"),
		"thief/a.yaml":                     configMap("values", "HOST", "evil.example.com"),
		"elsewhere/a.yaml":                 strings.Replace(configMap("far", "x", "1"), "name: far", "name: far\n  namespace: kube-system", 1),
	})
	b.eventually("kustomize and substitution", func(context.Context) bool {
		d := b.data("prod-a")
		return d["host"] == "shop.example.com" && d["replicas"] == "3" && d["color"] == "blue" && d["text"] == "${HOST}"
	})
	commit := b.push(map[string]string{"common/note.txt": "x"})
	if got := b.status("thief", commit, "failed"); !strings.Contains(got, "ConfigMap "+b.namespace+"/values") {
		t.Errorf("two entries and one object: %q", got)
	}
	refusal := "elsewhere/a.yaml:1: ConfigMap kube-system/far: .metadata.namespace: this entry may not write there; it may write to namespaces " + b.namespace
	if got := b.status("elsewhere", commit, "failed"); got != refusal {
		t.Errorf("another namespace: %q", got)
	}
	b.status("app", commit, "success")
	if b.data("values")["HOST"] != "shop.example.com" || b.data("asleep") != nil {
		t.Errorf("values %v, asleep %v", b.data("values"), b.data("asleep"))
	}
	if list, err := b.kube.CoreV1().ConfigMaps(metav1.NamespaceSystem).List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=far"}); err != nil || len(list.Items) > 0 {
		t.Errorf("kube-system: %v, %v", list, err)
	}
}
