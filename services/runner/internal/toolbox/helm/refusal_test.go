package helm

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestRefusals proves that what cannot work in a job says so.
func TestRefusals(t *testing.T) {
	const kubeconfig = `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: touch, args: [made-by-plugin], interactiveMode: Never}}}]
`
	s := newShell(t)
	t.Chdir(s.dir)
	for name, text := range map[string]string{
		"plugin.kubeconfig": kubeconfig,
		"helpers.json":      `{"credsStore": "pass"}`,
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, args, driver, want string
	}{
		{name: "plugin", args: "plugin list", want: "helm plugin is not available in a job: plugins are external programs"},
		{name: "completion", args: "completion bash", want: "helm completion is not available in a job"},
		{name: "hub", args: "search hub nginx", want: "helm search hub is not available in a job"},
		{name: "SQL driver", args: "list", driver: "sql", want: "HELM_DRIVER=sql is not available in a job"},
		{name: "other driver", args: "list", driver: "floppy", want: `unknown driver "floppy"`},
		{name: "exec plugin", args: "list --kubeconfig plugin.kubeconfig", want: "credential plugins"},
		{name: "exec plugin of an install", args: "install a app --kubeconfig plugin.kubeconfig", want: "credential plugins"},
		{name: "credential helper", args: "registry logout x --registry-config helpers.json", want: "credential helpers"},
		{name: "login without password", args: "registry login x -u a", want: "use --password-stdin"},
		{name: "repository without password", args: "repo add a http://127.0.0.1:1 --username a", want: "use --password-stdin"},
		{name: "post-renderer that fails", args: "template a app --post-renderer fail", want: "error output:\nno luck\n: exit status 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.env["HELM_DRIVER"] = c.driver
			r := s.run(t.Context(), line{args: c.args})
			if r.Code != 1 || !strings.Contains(r.Errors, c.want) {
				t.Errorf("%+v, want 1 and %q", r, c.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(s.dir, "made-by-plugin")); err == nil {
		t.Error("the credential plugin was executed")
	}
}

// TestMemoryDriver proves that releases can be read from a file.
func TestMemoryDriver(t *testing.T) {
	s := newShell(t)
	t.Chdir(s.dir)
	const data = `- {name: old, namespace: default, version: 3, info: {status: deployed}, chart: {metadata: {name: c, version: 1.0.0, appVersion: "2"}}}
`
	if err := os.WriteFile(filepath.Join(s.dir, "releases.yaml"), []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env["HELM_DRIVER"], s.env["HELM_MEMORY_DRIVER_DATA"] = "memory", "releases.yaml"
	compare(t, s, s, []line{{args: "list"}, {args: "history old"}, {args: "get manifest none"}, {args: "status old"}})
}

// TestCommandsSideBySide proves that commands of one process do not mix.
func TestCommandsSideBySide(t *testing.T) {
	s := newShell(t)
	t.Chdir(s.dir)
	var all sync.WaitGroup
	for n, args := range []string{
		"template one app --set message=first", "template two app --set message=second",
		"lint app", "show chart app", "package app", "env", "template three parent", "dependency list parent",
	} {
		want := s.run(t.Context(), line{args: args})
		if n == 6 && want.Code != 1 {
			t.Fatal(want)
		}
		for range 3 {
			all.Go(func() {
				if got := s.run(t.Context(), line{args: args}); got.Out != want.Out || got.Code != want.Code {
					t.Errorf("helm %s: %+v, want %+v", args, got, want)
				}
			})
		}
	}
	all.Wait()
}

// TestWarningsOfCharts proves that lines of the library's log arrive at the
// command, and nowhere else.
func TestWarningsOfCharts(t *testing.T) {
	s := newShell(t)
	t.Chdir(s.dir)
	r := s.run(t.Context(), line{args: "template a app --set message.x=1"})
	if !strings.Contains(r.Errors, "warning: ") || strings.Contains(r.Out, "warning: ") {
		t.Errorf("%+v", r)
	}
	if r := s.run(t.Context(), line{args: "template a app"}); r.Errors != "" {
		t.Errorf("%+v", r)
	}
}
