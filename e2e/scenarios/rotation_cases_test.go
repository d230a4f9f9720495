package scenarios

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/pkg/certs"
)

// Each of these changes one thing while jobs run and wait, as the guide on
// rotation says. What it returns takes away what was used before, and looks
// whether what is used now is the new one.

// runnerToken: GitLab has two runners with the same tags for a while.
func (r *rotated) runnerToken() func() {
	before := r.runner
	var err error
	r.runner, err = r.gitlab.CreateRunner(sim.RunnerOptions{Tags: []string{agentName}})
	r.must(err)
	r.volumes.put(r.t, "runner", map[string]string{"token": r.runner.Token})
	return func() {
		r.until("the tunnel asks with the new token", func() bool {
			now, err := r.gitlab.Runner(r.runner.ID)
			r.must(err)
			return len(now.Managers) > 0
		})
		r.must(r.gitlab.DeleteRunner(before.ID))
	}
}

func (r *rotated) configToken() func() {
	before := r.config
	r.config = r.accessToken("read_repository")
	r.volumes.put(r.t, "config", map[string]string{"token": r.config})
	return func() {
		r.gitlab.RevokeToken(before)
		const path = ".gitlab/agents/production/config.yaml"
		read := r.logged(r.rig.Tunnel, "configuration taken over")
		r.push(map[string]string{path: r.files("input")[path] + "# read with the new token\n"})
		read()
	}
}

func (r *rotated) gitopsToken() func() {
	before := r.gitops
	r.gitops = r.accessToken("api")
	r.volumes.put(r.t, "gitops", map[string]string{"token": r.gitops})
	return func() {
		r.gitlab.RevokeToken(before)
		r.push(map[string]string{"k8s/synced.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: synced}\n"})
		r.until("the cluster follows the repository", func() bool {
			_, err := r.kube.CoreV1().ConfigMaps(r.namespace).Get(context.Background(), "synced", metav1.GetOptions{})
			return err == nil
		})
	}
}

// redisPassword: Redis' user has two passwords for a while.
func (r *rotated) redisPassword() func() {
	before := r.password
	r.password = rand.Text()
	r.store.do(r.t, "ACL", "SETUSER", "towline", ">"+r.password)
	r.volumes.put(r.t, "password", map[string]string{"password": r.password})
	return func() {
		r.store.do(r.t, "ACL", "SETUSER", "towline", "<"+before)
		r.store.do(r.t, "CLIENT", "KILL", "USER", "towline") // all have to come in again
	}
}

// seen waits until every service has looked at its authorities again, as the
// guide says to; nothing shows that it has.
func (r *rotated) seen() { <-time.After(2 * certs.Interval) }

// redisAuthority: the services trust both authorities for a while.
func (r *rotated) redisAuthority() func() {
	before, fresh := r.authorities["redis"], newAuthority(r.t)
	r.authorities["redis"] = fresh
	r.volumes.put(r.t, "redis-ca", map[string]string{"ca.crt": fresh.pem + before.pem})
	r.seen()
	pair := fresh.pair(r.t)
	r.volumes.put(r.t, "redis-tls", pair)
	mount := r.volumes["redis-tls"]
	r.store.do(r.t, "CONFIG", "SET", "tls-cert-file", mount.Path("tls.crt"), "tls-key-file", mount.Path("tls.key"))
	r.store.do(r.t, "CLIENT", "KILL", "USER", "towline")
	if served(r.t, r.store.address) != pair["tls.crt"] {
		r.t.Error("Redis shows its old certificate")
	}
	return func() {
		r.volumes.put(r.t, "redis-ca", map[string]string{"ca.crt": fresh.pem})
		r.store.do(r.t, "CLIENT", "KILL", "USER", "towline")
	}
}

// servicesAuthority: as the chart does it, all trust the next authority before
// anybody shows a certificate of it, and the one before for a while after.
func (r *rotated) servicesAuthority() func() {
	before, fresh := r.authorities["services"], newAuthority(r.t)
	r.authorities["services"] = fresh
	r.volumes.put(r.t, "services-ca", map[string]string{"ca.crt": fresh.pem + before.pem})
	r.seen()
	pair := fresh.pair(r.t)
	r.volumes.put(r.t, "services-tls", pair)
	egress, err := r.rig.Tunnel.Egress(context.Background())
	r.must(err)
	for _, address := range []string{r.rig.Policy.URL, egress} {
		r.until("the new certificate is shown at "+address, func() bool { return served(r.t, address) == pair["tls.crt"] })
	}
	return func() { r.volumes.put(r.t, "services-ca", map[string]string{"ca.crt": fresh.pem}) }
}

func (r *rotated) gitlabAuthority() func() {
	before, fresh := r.authorities["gitlab"], newAuthority(r.t)
	r.authorities["gitlab"] = fresh
	r.volumes.put(r.t, "gitlab-ca", map[string]string{"ca.crt": fresh.pem + before.pem})
	r.seen()
	pair := fresh.pair(r.t)
	r.volumes.put(r.t, "gitlab-tls", pair)
	r.until("GitLab shows the new certificate", func() bool { return served(r.t, r.front) == pair["tls.crt"] })
	return func() { r.volumes.put(r.t, "gitlab-ca", map[string]string{"ca.crt": fresh.pem}) }
}

// signingKey: the new key in front is published at once, and signs alone when the
// old one is taken away.
func (r *rotated) signingKey() func() {
	before := r.signing
	r.signing = newSigningKey(r.t)
	known := r.logged(r.rig.Policy, "signing keys changed")
	r.volumes.put(r.t, "signing", map[string]string{"key": r.signing + before})
	known()
	return func() {
		alone := r.logged(r.rig.Policy, "signing keys changed")
		r.volumes.put(r.t, "signing", map[string]string{"key": r.signing})
		alone()
	}
}

// sealKey: likewise.
func (r *rotated) sealKey() func() {
	before := r.seal
	r.seal = newSealKey()
	put := func(content string) {
		tunnel, runner := r.logged(r.rig.Tunnel, "sealing keys changed"), r.logged(r.rig.Runner, "sealing keys changed")
		r.volumes.put(r.t, "seal", map[string]string{"key": content})
		tunnel()
		runner()
	}
	put(r.seal + before)
	return func() { put(r.seal) }
}

// serviceToken is what a kubelet does once an hour.
func (r *rotated) serviceToken() func() {
	ctx, cancel := context.WithTimeout(context.Background(), jobWithin)
	defer cancel()
	token, err := r.Cluster.ServiceAccountToken(ctx, r.rig.Namespace, "towline-tunnel", "towline-policy")
	r.must(err)
	file := filepath.Join(r.opts.Dir, "towline-tunnel.token")
	before, err := os.ReadFile(file)
	r.must(err)
	if strings.TrimSpace(string(before)) == token {
		r.t.Error("the token is the same")
	}
	r.must(os.WriteFile(file+".next", []byte(token), 0o600))
	r.must(os.Rename(file+".next", file))
	return func() {}
}
