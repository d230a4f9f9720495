package kubectl

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestANameThatIsNotFoundIsAskedForOnceMore: the job may have created it since
// discovery was read.
func TestANameThatIsNotFoundIsAskedForOnceMore(t *testing.T) {
	s := newAPIServer(t)
	sh := newShell(t, s.kubeconfig(t, token))
	for i, step := range []struct {
		args  string
		reads int
	}{
		{"get cm a", 1},
		{"get cm a", 1},
		{"get backups", 2},
		{"explain backups", 3},
		{"get cm a", 3},
		{"get backups,restores,snapshots", 4}, // once for each command
	} {
		code, out, errs := sh.run(strings.Fields(step.args)...)
		if got := s.count("/api"); got != step.reads {
			t.Errorf("step %d, %s: discovery was read %d times, want %d (%d %q %q)", i+1, step.args, got, step.reads, code, out, errs)
		}
	}
}

// TestImpersonationIsRefusedAtOnce, in one line and without a request.
func TestImpersonationIsRefusedAtOnce(t *testing.T) {
	s := newAPIServer(t)
	own := newShell(t, s.kubeconfig(t, token))
	own.k.gate = s.URL
	written := newShell(t, s.kubeconfig(t, "{token: job-token, as: somebody}"))
	written.k.gate = s.URL
	writeFile(t, filepath.Join(own.dir, "cm.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	for _, tt := range []struct {
		sh   *shell
		args string
	}{
		{own, "get cm --as=somebody --as-uid=1 --as-group=system:masters --as-user-extra=a=b"},
		{own, "--as=somebody get cm -A"},
		{own, "apply -f cm.yaml --as=somebody"},
		{own, "apply --server-side -f cm.yaml --as=somebody"},
		{own, "create -f cm.yaml --as=somebody"},
		{own, "create configmap x --as=somebody"},
		{own, "delete cm a --as=somebody"},
		{own, "describe cm a --as=somebody"},
		{own, "auth can-i create deployments.apps --as anna@acme.example"},
		{own, "auth can-i --list --as=somebody"},
		{own, "auth whoami --as=somebody"},
		{own, "api-resources --as=somebody"},
		{own, "explain cm --as=somebody"},
		{own, "logs p --as=somebody"},
		{own, "exec p --as=somebody -- true"},
		{own, "rollout status deploy/a --as=somebody"},
		{own, "wait --for=delete cm/a --as=somebody"},
		{own, "get --raw /version --as=somebody"},
		{own, "version --as=somebody"},
		{written, "get cm a"},
	} {
		code, out, errs := tt.sh.run(strings.Fields(tt.args)...)
		if code != 1 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "Towline decides as whom a job acts") || out != "" {
			t.Errorf("%s: code %d, %q, %q", tt.args, code, out, errs)
		}
	}
	// Upstream's own refusals, and diff's own exit code.
	for args, want := range map[string]int{"get cm --as-uid=1": 1, "get cm --as-group=g": 1, "get cm --as-user-extra=a=b": 1, "diff -f cm.yaml --as=somebody": 2} {
		if code, out, errs := own.run(strings.Fields(args)...); code != want || strings.Count(errs, "\n") != 1 || out != "" {
			t.Errorf("%s: code %d, %q, %q", args, code, out, errs)
		}
	}
	if len(s.requests) > 0 {
		t.Errorf("requests %q", s.requests)
	}
}

// TestOtherClustersMayBeAskedAsSomebodyElse: the gate decides for its own only.
func TestOtherClustersMayBeAskedAsSomebodyElse(t *testing.T) {
	s := newAPIServer(t)
	sh := newShell(t, s.kubeconfig(t, token))
	sh.k.gate = "https://127.0.0.1:1"
	if code, _, errs := sh.run("version", "--as=somebody"); code != 0 {
		t.Errorf("%d %q", code, errs)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestManyCommandsLeaveLittleBehind: cobra remembers every flag that completes
// its values for as long as the process lives.
func TestManyCommandsLeaveLittleBehind(t *testing.T) {
	s := newAPIServer(t)
	sh := newShell(t, s.kubeconfig(t, token))
	writeFile(t, filepath.Join(sh.dir, "cm.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	round := func() {
		for _, args := range []string{"get cm a", "apply -f cm.yaml --dry-run=client", "version --client"} {
			if code, _, errs := sh.run(strings.Fields(args)...); code != 0 && args != "get cm a" {
				t.Fatalf("%s: %s", args, errs)
			}
		}
	}
	round()
	before := heap()
	for range 100 {
		round()
	}
	const limit = 12 << 20
	if grown := heap() - before; grown > limit {
		t.Errorf("300 commands left %d bytes behind, more than %d", grown, limit)
	} else {
		t.Logf("300 commands left %d bytes behind", grown)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestNothingIsWrittenPastTheStreams: what upstream prints to the standard
// output of the process would not be the command's. It does so in one place, when
// cp gives up; a job's log shows that line among the errors.
func TestNothingIsWrittenPastTheStreams(t *testing.T) {
	s := newAPIServer(t)
	sh := newShell(t, s.kubeconfig(t, token))
	writeFile(t, filepath.Join(sh.dir, "cm.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	stray := straying(t, func() {
		for _, args := range []string{
			"", "get --help", "nope", "get cm a", "get cm a -o yaml", "get nope", "apply -f cm.yaml", "apply -f cm.yaml -v=9", "create -f cm.yaml", "diff -f cm.yaml",
			"delete -f cm.yaml", "describe cm a", "explain cm", "api-resources", "api-versions", "auth can-i get cm", "auth can-i --list", "auth whoami",
			"config view", "config get-contexts", "config set-context c --namespace=x", "version", "version -o yaml", "kustomize .", "logs p", "exec p -- true",
			"cp a p:b", "cp p:a b", "rollout status deploy/a", "wait cm/a --for=delete --timeout=1ms", "top pods", "events", "cluster-info", "options", "run x --image=y --dry-run=client -o yaml",
			"edit cm a", "port-forward p 80", "label cm a b=c", "set image deploy/a a=b", "drain n", "debug p --image=x", "create deployment x --image=y --dry-run=client", "proxy",
		} {
			sh.run(strings.Fields(args)...)
		}
	})
	if stray != "Dropping out copy after 0 retries\n" {
		t.Errorf("written to the process's own streams: %q", stray)
	}
}

// straying returns what is written to the streams of the process meanwhile.
func straying(t *testing.T, meanwhile func()) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "stray")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = f, f
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	meanwhile()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
