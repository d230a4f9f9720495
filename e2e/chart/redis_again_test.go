package chart

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	corev1 "k8s.io/api/core/v1"
)

// certify puts the certificate of a rendering in its place.
func (e *embedded) certify(t *testing.T, r rendered) {
	t.Helper()
	for name, content := range find[corev1.Secret](t, r, "Secret/towline-tls-redis").Data {
		write(t, filepath.Join(e.dir, "certificate", name), string(content))
	}
}

// served is the certificate that it shows.
func (e *embedded) served(t *testing.T) string {
	t.Helper()
	c, err := (&tls.Dialer{Config: e.tls}).DialContext(t.Context(), "tcp", e.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return string(c.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw)
}

// What somebody else changes, cert-manager for example, Redis reads again while
// it runs; a certificate that is none changes nothing.
func TestRedisReadsPasswordsAndCertificateAgain(t *testing.T) {
	e := startEmbeddedOf(t, "minimal")
	first := e.served(t)
	connected := e.client(t, "tunnel", e.passwords["tunnel"])
	if err := connected.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	until := func(what string, is func() bool) {
		t.Helper()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for range 400 {
			if is() {
				return
			}
			<-tick.C
		}
		t.Fatalf("never: %s", what)
	}
	e.certify(t, render(t, combinations["minimal"]))
	until("the new certificate is shown", func() bool { return e.served(t) != first })
	if err := connected.Ping(t.Context()).Err(); err != nil {
		t.Errorf("a new certificate cuts connections: %v", err)
	}
	second := e.served(t)
	write(t, filepath.Join(e.dir, "certificate", "tls.crt"), "half written")
	write(t, filepath.Join(e.dir, "passwords", "tunnel-password"), "fresh\n")
	write(t, filepath.Join(e.dir, "passwords", "tunnel-password-next"), "fresher\n")
	write(t, filepath.Join(e.dir, "passwords", "tunnel-password-previous"), e.passwords["tunnel"])
	until("the new password is good", func() bool { return e.client(t, "tunnel", "fresh").Ping(t.Context()).Err() == nil })
	if e.served(t) != second {
		t.Error("a broken certificate is shown")
	}
	for which, password := range map[string]string{"next": "fresher", "previous": e.passwords["tunnel"]} {
		if err := e.client(t, "tunnel", password).Ping(t.Context()).Err(); err != nil {
			t.Errorf("the %s password: %v", which, err)
		}
	}
	if err := e.client(t, "keeper", "x").Ping(t.Context()).Err(); err == nil {
		t.Error("anybody comes in as keeper")
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What Redis reads when it starts has it start again when Helm changes it:
// settings, users and the script alike.
func TestRedisStartsAgainForAnotherConfiguration(t *testing.T) {
	all, err := chartutil.ToRenderValues(loaded(), values(t, combinations["minimal"]), chartutil.ReleaseOptions{Name: release, Namespace: "towline"}, target{}.capabilities())
	if err != nil {
		t.Fatal(err)
	}
	const configuration = "checksum/configuration: "
	sum := func(was, is string) string {
		c := *loaded()
		c.Templates = nil
		for _, f := range loaded().Templates {
			c.Templates = append(c.Templates, &helmchart.File{Name: f.Name, Data: bytes.ReplaceAll(f.Data, []byte(was), []byte(is))})
		}
		files, err := engine.Render(&c, all)
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(files["towline/templates/redis.yaml"], configuration)
		line, _, _ := strings.Cut(after, "\n")
		return line
	}
	same := sum("", "")
	for was, is := range map[string]string{"appendfsync everysec": "appendfsync always", "umask 077": "umask 007", "+llen": "+llen +lrange"} {
		if got := sum(was, is); got == same || got == "" {
			t.Errorf("%s instead of %s: the checksum is %q, as before", is, was, got)
		}
	}
}
