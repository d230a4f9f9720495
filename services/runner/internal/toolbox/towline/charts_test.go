//go:build integration

package towline

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/repo"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/runner/internal/inquiry"
	"github.com/towline/towline/services/runner/internal/syncer"
	"github.com/towline/towline/services/runner/internal/toolbox/helm/helmtest"
	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const wanderer = "towline-wanderer"

// chartSite is an entry with a chart in a repository behind the way out, and a
// namespace of a real cluster.
type chartSite struct {
	*testing.T

	config, dir, namespace string
	client                 kubernetes.Interface
	out                    syncer.Outside
	settings               inquiry.Settings
}

func (s *chartSite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func newChartSite(t *testing.T) *chartSite {
	s := &chartSite{T: t}
	s.config, s.dir = cluster(t, "")
	cfg, err := clientcmd.BuildConfigFromFlags("", s.config)
	s.must(err)
	s.client, err = kubernetes.NewForConfig(cfg)
	s.must(err)
	ns, err := s.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "diff-"}}, metav1.CreateOptions{})
	s.must(err)
	s.namespace = ns.Name
	t.Cleanup(func() {
		_ = s.client.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), s.namespace, metav1.DeleteOptions{})
	})
	for name, data := range map[string]map[string]string{
		"repository": {"username": helmtest.User, "password": helmtest.Password}, "login": {"password": "hunter-two words"},
	} {
		_, err := s.client.CoreV1().Secrets(s.namespace).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data}, metav1.CreateOptions{})
		s.must(err)
	}
	s.out.Proxy = s.charts()
	s.settings = inquiry.Settings{Inventory: "7-42", Entry: agentconfig.Manifests{
		Name: s.namespace + "/web", Project: "acme/agents", DefaultNamespace: s.namespace,
		Chart: &agentconfig.Chart{
			Release: "web", CRDs: "create", Drift: "off", Install: agentconfig.ChartRemedy{OnFailure: "none"}, Upgrade: agentconfig.ChartRemedy{OnFailure: "none"},
			Repository: &agentconfig.ChartRepository{URL: "http://charts.example.com", Chart: "web", Version: "~1.2", Secret: "repository"},
			Values: []agentconfig.ChartValues{
				{Inline: "color: red"}, {Secret: &agentconfig.ValuesKey{Name: "login", Key: "password", Target: "password"}},
			},
		},
	}}
	return s
}

// charts is a way out that leads to a repository with one chart.
func (s *chartSite) charts() string {
	s.Helper()
	dir := s.TempDir()
	ch, err := loader.LoadFiles([]*loader.BufferedFile{
		{Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: web\nversion: 1.2.3\n")},
		{Name: "templates/a.yaml", Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {color: {{ .Values.color }}, password: {{ .Values.password }}}\n")},
		{Name: "templates/s.yaml", Data: []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: web}\ndata: {password: {{ .Values.password | b64enc }}}\n")},
	})
	s.must(err)
	_, err = chartutil.Save(ch, dir)
	s.must(err)
	index, err := repo.IndexDirectory(dir, "http://charts.example.com")
	s.must(err)
	s.must(index.WriteFile(filepath.Join(dir, "index.yaml"), 0o600))
	return helmtest.ChartServer(s.T, dir).URL
}

// diff runs towline diff as a user.
func (s *chartSite) diff(user string, args ...string) (code int, out, errs string) {
	s.Helper()
	config := s.config
	if user != "" {
		loaded, err := clientcmd.LoadFromFile(s.config)
		s.must(err)
		for _, who := range loaded.AuthInfos {
			who.Impersonate = user
		}
		config = filepath.Join(s.TempDir(), "config")
		s.must(clientcmd.WriteToFile(*loaded, config))
	}
	ask := func(context.Context, inquiry.Question) (inquiry.Answer, error) {
		return inquiry.Answer{Entry: s.settings.Entry.Name, Project: "acme/agents", Settings: &s.settings}, nil
	}
	var o, e strings.Builder
	code = New(kubectl.New(s.TempDir()), ask, s.out).Run(s.Context(), tool.Invocation{
		Name: "towline", Args: append([]string{"diff", s.settings.Entry.Name}, args...), Dir: s.dir, Stdin: strings.NewReader(""), Stdout: &o, Stderr: &e,
		Environ: []string{"KUBECONFIG=" + config, "CI_PROJECT_PATH=acme/agents", "CI_PROJECT_DIR=" + s.dir},
	})
	return code, o.String(), e.String()
}

// allow lets the wanderer do something in the namespace.
func (s *chartSite) allow(name string, rule rbacv1.PolicyRule) {
	s.Helper()
	_, err := s.client.RbacV1().Roles(s.namespace).Create(s.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{})
	s.must(err)
	_, err = s.client.RbacV1().RoleBindings(s.namespace).Create(s.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: wanderer}},
	}, metav1.CreateOptions{})
	s.must(err)
}

func TestDiffOfAChartInARepository(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	s := newChartSite(t)
	code, out, errs := s.diff("", "--exit-code", "--report", "r.json")
	id := s.namespace + "/web"
	for _, text := range []string{
		"+++ ConfigMap " + id + " (web-1.2.3/templates/a.yaml:1)\n", "+  color: red\n", "+  password: '[redacted]'\n", "+++ Secret " + id, "+  password: '***'\n",
		"release " + id + ": install of chart web 1.2.3, which makes revision 1\n2 to create, 0 as they are\n",
	} {
		if !strings.Contains(out, text) {
			t.Errorf("it does not say %q:\n%s", text, out)
		}
	}
	report, err := os.ReadFile(filepath.Join(s.dir, "r.json"))
	if code != exitChanges || errs != "" || err != nil || !strings.Contains(string(report), `"path": "."`) {
		t.Errorf("%d, %s, %v\n%s", code, errs, err, report)
	}
	for _, secret := range []string{"hunter", base64.StdEncoding.EncodeToString([]byte("hunter-two words")), helmtest.Password} {
		if strings.Contains(out+errs+string(report), secret) {
			t.Errorf("%s is written", secret)
		}
	}
	if _, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "web", metav1.GetOptions{}); err == nil {
		t.Error("a comparison has made an object")
	}
	if left, err := filepath.Glob(filepath.Join(temp, "towline-diff-*")); err != nil || len(left) > 0 {
		t.Errorf("%q is left, %v", left, err)
	}
}

// TestOfAChartIsSeenWhatTheJobMaySee: the entry's own rights are of no use to a
// job, and what it may not read is named.
func TestOfAChartIsSeenWhatTheJobMaySee(t *testing.T) {
	s := newChartSite(t)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	expect := func(want string) { // once the server knows the rights
		t.Helper()
		code, out, errs := s.diff(wanderer)
		for range 200 {
			if strings.Contains(errs, want) {
				break
			}
			<-tick.C
			code, out, errs = s.diff(wanderer)
		}
		if code != exitTrouble || !strings.Contains(errs, want) || strings.Contains(out+errs, "hunter") {
			t.Errorf("%d, want %q: %s%s", code, want, out, errs)
		}
	}
	expect("source.repository.secret: Secret " + s.namespace + "/repository: ")
	s.allow("repository", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"repository"}, Verbs: []string{"get"}})
	expect("values[1] (Secret login): Secret " + s.namespace + "/login: ")
	s.allow("login", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"login"}, Verbs: []string{"get"}})
	expect("list the records of release " + s.namespace + "/web: ")
	s.allow("records", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list"}})
	expect("cannot get resource \"configmaps\"")
	s.allow("objects", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "create", "patch"}})
	expect("Secret " + s.namespace + "/web failed: ")
	if _, out, _ := s.diff(wanderer); !strings.Contains(out, "1 to create") {
		t.Error(out)
	}
}
