package kubectl

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// FuzzKubeconfig reads what a script may have written as a kubeconfig. Whatever
// it says, nothing is executed, and only complete configurations without
// credential plugins come out.
func FuzzKubeconfig(f *testing.F) {
	const frame = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: CLUSTER}]\n" +
		"contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: USER}]\n"
	for _, user := range []string{
		"{token: t}", "{}", "{tokenFile: /etc/passwd}", "{username: u, password: p}", "{client-certificate: ../c, client-key: /k}",
		"{exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, interactiveMode: Never}}", "{auth-provider: {name: oidc, config: {a: b}}}",
		"{exec: {command: x}, token: t}", "{as: somebody, as-groups: [system:masters]}", "[1, 2]", "null",
	} {
		for _, cluster := range []string{
			`{server: "https://127.0.0.1:6443"}`, `{server: "http://x", proxy-url: "socks5://y:1"}`, `{server: "https://x", proxy-url: ":://"}`,
			`{server: "https://x", certificate-authority: /etc/shadow}`, `{server: "https://x", certificate-authority-data: AAAA, insecure-skip-tls-verify: true}`,
			`{server: "x/../%2f", tls-server-name: "a\0b"}`, "{}",
		} {
			f.Add([]byte(strings.NewReplacer("CLUSTER", cluster, "USER", user).Replace(frame)), "")
		}
	}
	f.Add([]byte("contexts: null\nusers:\n- name: x\n"), "c")
	k := New(f.TempDir())
	dir := f.TempDir()
	path := filepath.Join(dir, "kubeconfig")
	f.Fuzz(func(t *testing.T, text []byte, current string) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c := &command{
			ctx: context.Background(), kubectl: k, streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard},
			inv: tool.Invocation{Args: []string{"get"}, Dir: dir, Environ: []string{"KUBECONFIG=" + path}},
		}
		c.root()
		*c.getter.flags.Context = current
		cfg, err := c.getter.ToRESTConfig()
		if err != nil {
			return
		}
		if cfg.ExecProvider != nil || cfg.AuthProvider != nil {
			t.Fatalf("a credential plugin is left: %+v", cfg)
		}
		if cfg.Host == "" {
			t.Fatal("a configuration without a server")
		}
		one, err1 := credential(cfg)
		two, err2 := credential(cfg)
		if one != two || (err1 == nil) != (err2 == nil) {
			t.Fatal("the same configuration is two credentials")
		}
	})
}
