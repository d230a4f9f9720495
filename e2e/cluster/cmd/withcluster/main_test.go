package main

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/towline/towline/e2e/cluster"
)

// useFakeCluster points the environment at something that says it is ready.
func useFakeCluster(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["fake"] = &clientcmdapi.Cluster{
		Server:                   server.URL,
		CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}
	cfg.Contexts["fake"] = &clientcmdapi.Context{Cluster: "fake"}
	cfg.CurrentContext = "fake"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		t.Fatal(err)
	}
	t.Setenv(cluster.EnvKubeconfig, path)
	return path
}

func TestCommandGetsTheKubeconfigAndItsCodeComesBack(t *testing.T) {
	kubeconfig := useFakeCluster(t)
	var stdout, stderr bytes.Buffer
	script := `echo "$TOWLINE_E2E_KUBECONFIG"; cat; exit 7`
	code, err := run([]string{"--", "sh", "-c", script}, strings.NewReader("from stdin"), &stdout, &stderr)
	if err != nil || code != 7 {
		t.Fatalf("code, err = %d, %v; want 7", code, err)
	}
	if got, want := stdout.String(), kubeconfig+"\nfrom stdin"; got != want {
		t.Errorf("stdout = %q, want %q", got, want)
	}
	if !strings.Contains(stderr.String(), "using the cluster of "+kubeconfig) {
		t.Errorf("stderr = %q", stderr.String())
	}
}

func TestSignalsReachTheCommand(t *testing.T) {
	useFakeCluster(t)
	marker := filepath.Join(t.TempDir(), "started")
	go func() {
		for {
			if _, err := os.Stat(marker); err == nil {
				_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	script := `trap 'exit 9' TERM; touch "$1"; while :; do sleep 0.05; done`
	code, err := run([]string{"sh", "-c", script, "sh", marker}, strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{})
	if err != nil || code != 9 {
		t.Fatalf("code, err = %d, %v; want 9", code, err)
	}
}

func TestExitCodes(t *testing.T) {
	useFakeCluster(t)
	for _, tc := range []struct {
		name string
		args []string
		code int
		err  string
	}{
		{"success", []string{"--", "true"}, 0, ""},
		{"killed by a signal", []string{"--", "sh", "-c", "kill -KILL $$"}, 137, ""},
		{"unknown command", []string{"--", "no-such-command-here"}, exitFailed, "no-such-command-here"},
		{"no command", nil, exitFailed, "no command given"},
		{"unknown flag", []string{"--nope", "--", "true"}, exitFailed, "nope"},
		{"command for nothing", []string{"--build-only", "--", "true"}, exitFailed, "takes no command"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, err := run(tc.args, strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{})
			if code != tc.code {
				t.Errorf("code = %d, want %d", code, tc.code)
			}
			if got := errorText(err); (tc.err == "") != (got == "") || !strings.Contains(got, tc.err) {
				t.Errorf("err = %q, want %q", got, tc.err)
			}
		})
	}
}

func TestUnreachableClusterIsNamed(t *testing.T) {
	t.Setenv(cluster.EnvKubeconfig, filepath.Join(t.TempDir(), "missing"))
	code, err := run([]string{"--", "true"}, strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{})
	if code != exitFailed || !strings.Contains(errorText(err), cluster.EnvKubeconfig) {
		t.Errorf("code, err = %d, %v", code, err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
