package kubectl

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const token = "{token: job-token}"

const manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {a: b}\n"

func write(t *testing.T, path, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(manifest, "NAME", name, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestApplyFromEverywhere(t *testing.T) {
	s := newAPIServer(t)
	sh := newShell(t, s.kubeconfig(t, token))
	write(t, filepath.Join(sh.dir, "a.yaml"), "a")
	write(t, filepath.Join(sh.dir, "d/b.yaml"), "b")
	tests := []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{"apply", "-f", "a.yaml"}, "configmap/a created\n"},
		{"", []string{"apply", "-f", "a.yaml"}, "configmap/a unchanged\n"},
		{"", []string{"apply", "-f", "d"}, "configmap/b created\n"},
		{"", []string{"apply", "-f", "./d/../a.yaml,d/b.yaml"}, "configmap/a unchanged\nconfigmap/b unchanged\n"},
		{strings.Replace(manifest, "NAME", "c", 1), []string{"apply", "-f", "-"}, "configmap/c created\n"},
		{strings.Replace(manifest, "NAME", "d", 1), []string{"apply", "--filename=-"}, "configmap/d created\n"},
		{strings.Replace(manifest, "NAME", "e", 1), []string{"create", "-f", "/dev/stdin"}, "configmap/e created\n"},
		{"", []string{"create", "configmap", "f", "--from-file=a.yaml", "--from-file=k=d/b.yaml", "--dry-run=client"}, "configmap/f created (dry run)\n"},
		{"", []string{"get", "cm", "a", "-o", "name"}, "configmap/a\n"},
		{"", []string{"--namespace", "default", "get", "cm/a", "-o", "jsonpath={.data.a}"}, "b"},
	}
	for _, tt := range tests {
		sh.stdin = tt.stdin
		code, out, errs := sh.run(tt.args...)
		if code != 0 || out != tt.want || errs != "" {
			t.Errorf("%v: code %d\nstdout %q\nstderr %q", tt.args, code, out, errs)
		}
	}
	if n := s.count("/api"); n != 1 {
		t.Errorf("discovery was fetched %d times", n)
	}
	for _, path := range []string{"/openapi/v3", "/openapi/v2"} {
		if n := s.count(path); n != 0 {
			t.Errorf("%s was fetched %d times", path, n)
		}
	}
	for agent := range s.agents {
		if !strings.HasPrefix(agent, "kubectl/v1.37.2 ") {
			t.Errorf("user agent %q", agent)
		}
	}
	if left, err := os.ReadDir(sh.k.scratch); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestErrorsAndExitCodes(t *testing.T) {
	t.Setenv("PATH", "") // as in a job
	s := newAPIServer(t)
	sh := newShell(t, s.kubeconfig(t, token))
	tests := []struct {
		args []string
		code int
		want string // in stdout or stderr
	}{
		{[]string{"get", "cm", "nope"}, 1, `Error from server (NotFound): configmaps "nope" not found`},
		{[]string{"get", "nonsense"}, 1, `error: the server doesn't have a resource type "nonsense"`},
		{[]string{"apply", "-f", "missing.yaml"}, 1, "does not exist"},
		{[]string{"auth", "can-i", "get", "cm"}, 0, "yes"},
		{[]string{"auth", "can-i", "delete", "cm"}, 1, "no"},
		{[]string{"auth", "can-i", "delete", "cm", "-q"}, 1, ""},
		{[]string{"frobnicate"}, 1, `unknown command "frobnicate" for "kubectl"`},
		{[]string{"get", "--nonsense"}, 1, "unknown flag: --nonsense"},
		{[]string{"edit", "cm", "a"}, 1, "set KUBE_EDITOR"},
		{[]string{"create", "--edit", "-f", "x"}, 1, "kubectl create --edit is not available in a job"},
		{[]string{"apply", "edit-last-applied", "cm", "a"}, 1, "is not available in a job"},
		{[]string{"diff", "-f", "x"}, 2, "does not exist"},
		{[]string{"diff", "--nonsense"}, 2, "unknown flag: --nonsense"},
		{[]string{"port-forward", "p", "80"}, 1, "kubectl port-forward is not available in a job: a job may not listen on a port"},
		{[]string{"proxy"}, 1, "kubectl proxy is not available in a job"},
		{[]string{"completion", "bash"}, 1, "kubectl completion is not available in a job"},
		{[]string{"kuberc", "view"}, 1, "kubectl kuberc is not available in a job"},
		{[]string{"kustomize", "https://github.com/example/base?ref=v1"}, 1, "Fetch them first"},
		{[]string{"cp", "p:/x", "y"}, 1, "NotFound"},
		{[]string{"alpha"}, 0, "No alpha commands are available"},
		{[]string{"options"}, 0, "--namespace"},
		{[]string{"plugin", "list"}, 1, "kubectl plugin is not available in a job"},
		{[]string{"version", "--client"}, 0, "Client Version: v1.37.2\nKustomize Version: v5.8.1\n"},
		{[]string{"version", "-o", "json"}, 0, `"gitVersion": "v1.34.4"`},
		{[]string{"config", "current-context"}, 0, "c\n"},
		{[]string{"--context=gone", "get", "cm"}, 1, "context was not found for specified context: gone"},
		{[]string{"--kubeconfig", "gone", "get", "cm"}, 1, "no such file"},
		{[]string{"kustomize", "--enable-helm"}, 1, "--enable-helm is not available in a job"},
		{[]string{"--help"}, 0, "kubectl controls the Kubernetes cluster manager"},
		{[]string{"apply", "--help"}, 0, "--server-side"},
	}
	for _, tt := range tests {
		code, out, errs := sh.run(tt.args...)
		if code != tt.code || !strings.Contains(out+errs, tt.want) {
			t.Errorf("%v: code %d\nstdout %q\nstderr %q", tt.args, code, out, errs)
		}
	}
}

func TestCredentialPluginsAreRefused(t *testing.T) {
	s := newAPIServer(t)
	marker := filepath.Join(t.TempDir(), "ran")
	for name, user := range map[string]string{
		"exec":          `{exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, args: [-c, "touch ` + marker + `"], interactiveMode: Never}}`,
		"auth-provider": `{auth-provider: {name: gcp, config: {cmd-path: /bin/sh}}}`,
	} {
		bad := s.kubeconfig(t, user)
		for _, sh := range []*shell{newShell(t, bad), newShell(t, s.kubeconfig(t, token))} {
			for _, args := range [][]string{{"get", "cm", "a"}, {"apply", "-f", "-"}, {"version"}, {"api-resources"}, {"auth", "can-i", "get", "cm"}} {
				code, out, errs := sh.run(append(args, "--kubeconfig", bad)...)
				if code == 0 || !strings.Contains(errs, "credential plugins") {
					t.Errorf("%s, %v: code %d, stdout %q, stderr %q", name, args, code, out, errs)
				}
			}
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("the plugin ran")
	}
	if len(s.requests) > 0 {
		t.Errorf("requests %v", s.requests)
	}
}

func TestDiscoveryIsKeptByCredential(t *testing.T) {
	s := newAPIServer(t)
	sh := newShell(t, s.kubeconfig(t, token))
	other := s.kubeconfig(t, "{token: other-token}")
	for range 2 {
		sh.run("get", "cm", "a")
		sh.run("get", "cm", "a", "--kubeconfig", other)
		sh.run("get", "cm", "a", "--as=somebody")
	}
	if n := s.count("/api"); n != 3 {
		t.Errorf("discovery was fetched %d times for 3 credentials: %v", n, s.requests)
	}
	for _, r := range s.requests {
		if !strings.HasSuffix(r, " job-token") && !strings.HasSuffix(r, " other-token") {
			t.Errorf("request %q", r)
		}
	}
}

func TestEveryFieldOfACredentialCounts(t *testing.T) {
	base := rest.Config{Host: "https://a"}
	for name, change := range map[string]func(*rest.Config){
		"host": func(c *rest.Config) { c.Host = "https://b" }, "path": func(c *rest.Config) { c.APIPath = "/x" },
		"user": func(c *rest.Config) { c.Username = "u" }, "password": func(c *rest.Config) { c.Password = "p" },
		"token": func(c *rest.Config) { c.BearerToken = "t" }, "token file": func(c *rest.Config) { c.BearerTokenFile = "f" },
		"impersonation": func(c *rest.Config) { c.Impersonate.Groups = []string{"g"} },
		"certificate":   func(c *rest.Config) { c.TLSClientConfig.CertData = []byte("c") },
		"server name":   func(c *rest.Config) { c.TLSClientConfig.ServerName = "s" },
	} {
		changed := base
		change(&changed)
		a, err1 := credential(&base)
		b, err2 := credential(&changed)
		if err1 != nil || err2 != nil || a == b {
			t.Errorf("%s does not count (%v, %v)", name, err1, err2)
		}
	}
}

func TestWarningsGoToTheCommand(t *testing.T) {
	s := newAPIServer(t)
	s.warn = "old thing"
	sh := newShell(t, s.kubeconfig(t, token))
	sh.stdin = strings.Replace(manifest, "NAME", "w", 1)
	code, out, errs := sh.run("create", "-f", "-")
	if code != 0 || out != "configmap/w created\n" || errs != "Warning: old thing\n" {
		t.Errorf("code %d, stdout %q, stderr %q", code, out, errs)
	}
	code, _, errs = sh.run("get", "cm", "w", "-o", "name", "--warnings-as-errors")
	if code != 1 || !strings.Contains(errs, "error: 1 warning received") {
		t.Errorf("code %d, stderr %q", code, errs)
	}
}

func TestConfigIsWritten(t *testing.T) {
	s := newAPIServer(t)
	sh := newShell(t, s.kubeconfig(t, token))
	sh.env["KUBECONFIG"] += ":second"
	if code, _, errs := sh.run("config", "use-context", "other"); code != 0 {
		t.Fatal(errs)
	}
	if _, out, errs := sh.run("config", "view", "--minify", "-o", "jsonpath={..namespace}"); out != "elsewhere" {
		t.Errorf("stdout %q, stderr %q", out, errs)
	}
	if code, _, errs := sh.run("config", "set-context", "new", "--cluster=c", "--kubeconfig=own"); code != 0 {
		t.Error(errs)
	}
	if _, err := os.Stat(filepath.Join(sh.dir, "own")); err != nil {
		t.Error(err)
	}
	delete(sh.env, "KUBECONFIG")
	sh.env["HOME"] = sh.dir
	if code, _, _ := sh.run("config", "set-context", "new", "--cluster=c"); code != 0 {
		t.Error("no configuration in HOME")
	}
	if _, err := os.Stat(filepath.Join(sh.dir, ".kube/config")); err != nil {
		t.Error(err)
	}
}

func TestCommandsAtOnce(t *testing.T) {
	s := newAPIServer(t)
	sh := newShell(t, s.kubeconfig(t, token))
	write(t, filepath.Join(sh.dir, "k/a.yaml"), "a")
	if err := os.WriteFile(filepath.Join(sh.dir, "k/kustomization.yaml"), []byte("resources: [a.yaml]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		for _, args := range [][]string{{"get", "cm", "-h"}, {"apply", "-f", "k/a.yaml"}, {"kustomize", "k"}, {"version"}, {"apply", "-k", "k"}} {
			wg.Go(func() {
				if code, _, errs := sh.run(args...); code != 0 {
					t.Errorf("%v: %s", args, errs)
				}
			})
		}
	}
	wg.Wait()
}

func TestSubcommandIsFound(t *testing.T) {
	s := newShell(t, "")
	for line, want := range map[string]string{
		"get pods": "get", "-n x get pods": "get", "--namespace x get": "get", "--namespace=x get": "get",
		"--insecure-skip-tls-verify get": "get", "-v 6 get": "get", "-nx get": "get", "": "", "-h": "", "--as a --as-group b apply": "apply",
	} {
		c := &command{kubectl: s.k, inv: tool.Invocation{Args: strings.Fields(line)}}
		root := c.root()
		if got := Subcommand(root, c.inv.Args); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
		if n := len(root.Commands()); want != "" && n > 4 {
			t.Errorf("%q builds %d subcommands", line, n)
		}
	}
}

func TestNothingReachesTheProcessStreams(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = w
	dead := newShell(t, newAPIServer(t).kubeconfig(t, token))
	dead.run("get", "cm", "--server=https://127.0.0.1:1")
	os.Stderr = old
	w.Close()
	buf := make([]byte, 4096)
	n, _ := r.Read(buf)
	if diff := cmp.Diff("", string(buf[:n])); diff != "" {
		t.Error(diff)
	}
}

func TestPrefetchServesTheFirstCommand(t *testing.T) {
	s := newAPIServer(t)
	path := s.kubeconfig(t, token)
	sh := newShell(t, path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sh.k.Own(text, true)
	sh.run("get", "cm", "a")
	if n := s.count("/api"); n != 1 {
		t.Errorf("discovery was fetched %d times", n)
	}
	sh.k.Own([]byte("no kubeconfig"), true)
	sh.k.Own([]byte("users: [{name: u, user: {exec: {command: /bin/sh}}}]"), true)
}
