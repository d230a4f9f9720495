package gate_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// BenchmarkGet compares a GET of 1 KiB through the gate with one without it,
// both over HTTP/2 and TLS on one connection.
func BenchmarkGet(b *testing.B) {
	body := make([]byte, 1<<10)
	env := open(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	token, _ := env.session(within("a"))
	pool := x509.NewCertPool()
	pool.AddCert(env.upstream.Certificate())
	direct := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}
	b.Cleanup(direct.CloseIdleConnections)
	for _, way := range []struct {
		name, url string
		client    *http.Client
	}{{"direct", env.upstream.URL, &http.Client{Transport: direct}}, {"gate", env.url, env.client}} {
		for _, parallel := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/parallel=%d", way.name, parallel), func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(parallel)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						r, _ := http.NewRequestWithContext(b.Context(), http.MethodGet, way.url+"/api/v1/namespaces/a/configmaps/c", nil)
						r.Header.Set("Authorization", "Bearer "+token)
						resp, err := way.client.Do(r)
						if err != nil {
							b.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
				})
			})
		}
	}
}
