package worker

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
)

// FuzzJobKubeconfig writes the kubeconfig of a job for whatever GitLab may call
// its projects and agents. What kubectl reads back is one cluster, one user and
// one context, and they are ours.
func FuzzJobKubeconfig(f *testing.F) {
	for _, text := range []string{
		"", "group/agents", "a: b", "a\nclusters:\n- name: evil\n  cluster: {server: https://evil.example}", "'", "\"", "{", "!!binary x", "&a", "*a", "%", "|",
		"true", "null", "~", "0x10", "1e3", "2001-01-01", "---", "...", "\u2028", "\x00", "\xff\xfe", "\\", "#", "exec: {command: sh}", "é", "../..", "a\tb", "a\r\nb", "=",
	} {
		f.Add(text, "prod", "app", int64(5), "token")
		f.Add("group/agents", text, text, int64(-1), "eyJhbGciOiJFZERTQSJ9.e30.c2ln")
		f.Add(text, text, "", int64(0), text)
	}
	f.Fuzz(func(t *testing.T, project, agent, namespace string, id int64, token string) {
		ca := []byte("-----BEGIN CERTIFICATE-----\n")
		r := &running{
			w: &Worker{Config: Config{Endpoint: Endpoint{GatePort: 6443, CA: ca}}}, a: &assignment{warrant: ledger.Warrant{Grant: token}},
		}
		text, err := r.kubeconfig(&grant.Claims{Agent: grant.Agent{ID: id, Project: project, Name: agent}, DefaultNamespace: namespace})
		if err != nil {
			return
		}
		cfg, err := clientcmd.Load([]byte(text))
		if err != nil {
			t.Fatalf("kubectl cannot read what was written: %v\n%s", err, text)
		}
		if len(cfg.Clusters) != 1 || len(cfg.AuthInfos) != 1 || len(cfg.Contexts) != 1 || len(cfg.Extensions) != 0 {
			t.Fatalf("not one of each:\n%s", text)
		}
		current := cfg.Contexts[cfg.CurrentContext]
		if current == nil {
			t.Fatalf("no current context:\n%s", text)
		}
		cluster, user := cfg.Clusters[current.Cluster], cfg.AuthInfos[current.AuthInfo]
		if cluster == nil || cluster.Server != "https://127.0.0.1:6443" || !bytes.Equal(cluster.CertificateAuthorityData, ca) ||
			cluster.InsecureSkipTLSVerify || cluster.ProxyURL != "" || cluster.TLSServerName != "" {
			t.Fatalf("another cluster: %+v\n%s", cluster, text)
		}
		if user == nil || user.Exec != nil || user.AuthProvider != nil || user.Impersonate != "" || user.TokenFile != "" || user.Username != "" || user.ClientKey != "" {
			t.Fatalf("another user: %+v\n%s", user, text)
		}
		if utf8.ValidString(token) && user.Token != token || utf8.ValidString(namespace) && current.Namespace != namespace {
			t.Fatalf("token %q, namespace %q:\n%s", user.Token, current.Namespace, text)
		}
		rest, err := clientcmd.NewDefaultClientConfig(*cfg, &clientcmd.ConfigOverrides{}).ClientConfig()
		if err != nil {
			return // nothing to connect with; kubectl says so
		}
		if rest.Host != "https://127.0.0.1:6443" || rest.ExecProvider != nil || rest.AuthProvider != nil || rest.BearerToken != user.Token {
			t.Fatalf("kubectl would use %+v", rest)
		}
	})
}
