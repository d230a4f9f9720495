package scenarios

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
)

// rotated is an installation in which everything that can be rotated is in a
// volume, with TLS between all parts.
type rotated struct {
	rounds
	volumes volumes
	store   *secureRedis
	front   string // GitLab's address, with TLS

	config, gitops, password, signing, seal string // in use
	authorities                             map[string]*authority
}

// Nothing that is rotated as the guides say costs a job, or a line of its log.
func TestEverythingIsRotatedWhileJobsRun(t *testing.T) {
	r := openRotated(t)
	for _, c := range []struct {
		what   string
		rotate func() (retire func())
	}{
		{"the runner's token", r.runnerToken},
		{"the configuration's token", r.configToken},
		{"the token of gitops", r.gitopsToken},
		{"Redis' password", r.redisPassword},
		{"Redis' certificate and authority", r.redisAuthority},
		{"the services' certificates and authority", r.servicesAuthority},
		{"GitLab's certificate and authority", r.gitlabAuthority},
		{"the signing key", r.signingKey},
		{"the sealing key", r.sealKey},
		{"the tunnel's token for policy", r.serviceToken},
	} {
		if !t.Run(c.what, func(t *testing.T) {
			r.t, r.TB = t, t
			jobs := r.startRound()
			retire := c.rotate()
			r.finishRound(jobs)
			// Only now that the jobs of before are done, what they used may go.
			retire()
			r.finishRound(r.startRound())
		}) {
			break
		}
	}
	r.t, r.TB = t, t
}

func openRotated(t *testing.T) *rotated {
	r := &rotated{authorities: map[string]*authority{}, signing: newSigningKey(t), seal: newSealKey(), password: rand.Text()}
	for _, name := range []string{"redis", "services", "gitlab"} {
		r.authorities[name] = newAuthority(t)
	}
	ca := func(name string) map[string]string { return map[string]string{"ca.crt": r.authorities[name].pem} }
	r.volumes = newVolumes(t, map[string]map[string]string{
		"runner": {}, "config": {}, "gitops": {}, "password": {"password": r.password},
		"signing": {"key": r.signing}, "seal": {"key": r.seal},
		"redis-tls": r.authorities["redis"].pair(t), "redis-ca": ca("redis"), "services-tls": r.authorities["services"].pair(t), "services-ca": ca("services"),
		"gitlab-tls": r.authorities["gitlab"].pair(t), "gitlab-ca": ca("gitlab"),
	})
	r.store = newSecureRedis(t, "towline", r.password, r.volumes["redis-tls"])
	front, behind := listen(t), freeAddress(t)
	r.front = "https://" + front.Addr().String()
	openAt(t, "rotation", sim.Options{Addr: behind, LongPoll: longPoll, ExternalURL: r.front, MaxManagers: 2}, func(s *scenario) {
		serveTLS(t, front, r.volumes["gitlab-tls"], "http://"+behind)
		r.scenario = s
		r.prepare()
	})
	return r
}

// prepare turns the options of the installation to the volumes.
func (r *rotated) prepare() {
	o := r.opts
	r.config, r.gitops = o.ConfigToken, r.accessToken("api")
	r.volumes.put(r.t, "config", map[string]string{"token": r.config})
	r.volumes.put(r.t, "gitops", map[string]string{"token": r.gitops})
	r.volumes.put(r.t, "runner", map[string]string{"token": o.RunnerToken})
	o.GitLabURL, o.RunnerToken, o.ConfigToken, o.PolicyTLS, o.Concurrent = r.front, "", "", true, 4
	path := func(volume, file string) string { return r.volumes[volume].Path(file) }
	tls := []string{"--tls-cert-file=" + path("services-tls", "tls.crt"), "--tls-key-file=" + path("services-tls", "tls.key")}
	common := []string{
		"--redis-addresses=" + r.store.address, "--redis-username=towline", "--redis-password-file=" + path("password", "password"),
		"--redis-tls", "--redis-ca-file=" + path("redis-ca", "ca.crt"), "--seal-key-file=" + path("seal", "key"), "--ca-file=" + path("services-ca", "ca.crt"),
	}
	o.PolicyArgs = append(tls[:2:2], "--signing-key-file="+path("signing", "key"))
	o.TunnelArgs = append(append(tls[:2:2], common...),
		"--gitlab-ca-file="+path("gitlab-ca", "ca.crt"), "--token-file="+path("runner", "token"),
		"--config-token-file="+path("config", "token"), "--config-interval=200ms",
		"--gitops", "--gitops-token-file="+path("gitops", "token"), "--gitops-interval=300ms")
	r.Allow("gitlab:gitops", "edit")
	o.RunnerArgs = append(common, "--egress-tls", "--git-ca-file="+path("gitlab-ca", "ca.crt"), "--syncs=1")
}

func (r *rotated) accessToken(scopes ...string) string {
	r.t.Helper()
	token, err := r.gitlab.CreateAccessToken(sim.AccessTokenOptions{Project: projectPath, Scopes: scopes})
	r.must(err)
	return token
}

// logged waits for a line that a service writes from now on.
func (r *rotated) logged(s *rig.Service, part string) (wait func()) {
	seen := len(s.Lines())
	return func() {
		r.t.Helper()
		r.until(s.Name+" logs "+part, func() bool {
			for _, l := range s.Lines()[seen:] {
				if strings.Contains(l.Text("msg"), part) {
					return true
				}
			}
			return false
		})
	}
}

func newSigningKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("PRIVATE KEY", der)
}

func newSealKey() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.StdEncoding.EncodeToString(b) + "\n"
}
