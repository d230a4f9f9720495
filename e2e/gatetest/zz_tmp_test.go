package gatetest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"encoding/pem"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func TestZZCold(t *testing.T) {
	b := open(t)
	b.allow("default", "Group", "gitlab:project:42")
	s := b.job(nil)
	c := b.client(s)
	b.settled(c, "default")
	tr, err := rest.TransportFor(b.config(s))
	b.must(err)
	to, _ := url.Parse(b.url)
	for _, cached := range []bool{true, false, true, false} {
		front := httptest.NewUnstartedServer(&httputil.ReverseProxy{Transport: tr, Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			if !cached {
				r.Out.Header.Set("If-None-Match", `"none"`)
			}
		}})
		front.EnableHTTP2 = true
		front.StartTLS()
		cfg := clientcmdapi.NewConfig()
		cfg.Clusters["c"] = &clientcmdapi.Cluster{Server: front.URL, CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})}
		cfg.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: s.token}
		cfg.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: "default"}
		cfg.CurrentContext = "x"
		path := filepath.Join(t.TempDir(), "k")
		b.must(clientcmd.WriteToFile(*cfg, path))
		cmd := exec.Command("go", "test", "-tags", "integration", "-run", "XXX", "-bench", "BenchmarkColdApply", "-benchtime", "40x", "./internal/toolbox/kubectl")
		cmd.Dir = filepath.Join("..", "..", "services", "runner")
		cmd.Env = append(os.Environ(), "TOWLINE_E2E_KUBECONFIG="+path)
		out, err := cmd.CombinedOutput()
		t.Logf("cached %t: %v\n%s", cached, err, out)
		front.Close()
	}
	_ = http.StatusOK
}
