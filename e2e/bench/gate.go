package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/service"
)

// Goals of the gate, beside direct access with the same identity.
const (
	goalAdded      = 0.3  // ms per GET at the median
	goalThroughput = 0.85 // of direct access
)

// How the gate is measured: each way in turns, round by round.
const (
	gateRounds = 15
	gateSerial = 200 // GETs one after the other, per round
	gateAtOnce = 32
	gateTurn   = time.Second // of GETs at the same time, per round
)

// way is one road to the API server.
type way struct {
	name   string
	client *http.Client
	url    string

	serial []time.Duration
	rates  []float64
	cpu    time.Duration // of this process, for all GETs at the same time
	gets   int64
}

// measureGate compares GETs of a ConfigMap through a gate in this process with
// such that go to the API server directly. Both act as the same job: the direct
// way stamps the identity itself, as a client with --as does.
func measureGate(ctx context.Context, s *site, _ options, r *report) (err error) {
	ways, stop, err := s.gateWays(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for range gateRounds {
		for _, w := range ways {
			if err := w.round(ctx); err != nil {
				return err
			}
		}
	}
	plain, direct, through := ways[0], ways[1], ways[2]
	fmt.Fprintf(r.out, "\nGET of a ConfigMap: one after the other, and %d at the same time; medians of %d rounds:\n\n", gateAtOnce, gateRounds)
	for _, w := range ways {
		fmt.Fprintf(r.out, "  %-34s p50 %.3f ms  p99 %.3f ms  %6.0f GETs/s\n", w.name, ms(w.quantile(50)), ms(w.quantile(99)), w.rate())
	}
	r.atMost("added by the gate per GET at p50, ms", ms(through.quantile(50)-direct.quantile(50)), goalAdded)
	r.atLeast(fmt.Sprintf("throughput of the gate at %d parallel GETs, of direct access", gateAtOnce), through.rate()/direct.rate(), goalThroughput)
	fmt.Fprintf(r.out, "CPU of the gate per GET: %.3f ms\n", ms(through.cpu)/float64(through.gets)-ms(direct.cpu)/float64(direct.gets))
	fmt.Fprintf(r.out, "beside an administrator's certificate, which needs no impersonation: %.3f ms added, %.3f of the throughput\n",
		ms(through.quantile(50)-plain.quantile(50)), through.rate()/plain.rate())
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func (w *way) quantile(percent int) time.Duration {
	return slices.Sorted(slices.Values(w.serial))[len(w.serial)*percent/100]
}

func (w *way) rate() float64 { return slices.Sorted(slices.Values(w.rates))[len(w.rates)/2] }

// round adds one measurement of each kind.
func (w *way) round(ctx context.Context) error {
	for range gateSerial {
		began := time.Now()
		if err := w.get(ctx); err != nil {
			return err
		}
		w.serial = append(w.serial, time.Since(began))
	}
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	before, _, err := processCPU(os.Getpid())
	if err != nil {
		return err
	}
	began := time.Now()
	for range gateAtOnce {
		all.Go(func() {
			for time.Since(began) < gateTurn {
				if err := w.get(ctx); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	w.rates = append(w.rates, float64(done.Load())/time.Since(began).Seconds())
	after, _, err := processCPU(os.Getpid())
	if err != nil {
		return err
	}
	w.cpu, w.gets = w.cpu+after-before, w.gets+done.Load()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (w *way) get(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", w.name, resp.Status)
	}
	return nil
}

const gateObject = "bench-gate"

// gateWays are the ways to the API server, the gate's last.
func (s *site) gateWays(ctx context.Context) (ways []*way, stop func() error, err error) {
	admin, err := s.cluster.RESTConfig()
	if err != nil {
		return nil, nil, err
	}
	k, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return nil, nil, err
	}
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: gateObject}, Data: map[string]string{"colour": "green"}}
	if _, err := k.CoreV1().ConfigMaps(namespace).Create(ctx, object, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, nil, err
	}
	id := benchIdentity()
	if err := rig.Allow(ctx, s.cluster, rig.Access{Group: id.Groups[0], Namespace: namespace, Role: "edit"}); err != nil {
		return nil, nil, err
	}
	as := rest.CopyConfig(admin)
	as.Impersonate = rest.ImpersonationConfig{UserName: id.User, Groups: id.Groups, Extra: id.Extra}
	through, stop, err := serveGate(ctx, admin, id)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range []struct {
		name string
		cfg  *rest.Config
	}{{"direct, as the administrator", admin}, {"direct, as the job", as}, {"through the gate, as the job", through}} {
		client, err := rest.HTTPClientFor(c.cfg)
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		host, _, err := rest.DefaultServerUrlFor(c.cfg)
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		ways = append(ways, &way{name: c.name, client: client, url: host.JoinPath("api/v1/namespaces", namespace, "configmaps", gateObject).String()})
	}
	return ways, stop, nil
}

// benchIdentity is that of a job of a project in a group.
func benchIdentity() grant.Identity {
	extra := map[string][]string{}
	for _, key := range []string{"id", "config_project_id", "project_id", "ci_pipeline_id", "ci_job_id", "username", "environment_slug", "environment_tier"} {
		extra["agent.gitlab.com/"+key] = []string{"7"}
	}
	return grant.Identity{
		Mode: grant.ModeCIJob, User: "gitlab:ci_job:7",
		Groups: []string{"gitlab:ci_job", "gitlab:group:1", "gitlab:project:42", "gitlab:project_env:42:production", "gitlab:project_env_tier:42:production"},
		Extra:  extra,
	}
}

// serveGate serves a gate on loopback as the runner does, and returns what a
// job's kubeconfig says.
func serveGate(ctx context.Context, api *rest.Config, id grant.Identity) (*rest.Config, func() error, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, err
	}
	signer, err := grant.NewSigner(key)
	if err != nil {
		return nil, nil, err
	}
	token, err := signer.Sign(grant.Claims{
		RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
		Job:              grant.Job{ID: 7, ProjectPath: projectPath}, Identity: id, Namespaces: []string{namespace},
		Agent: grant.Agent{Project: projectPath, Name: agentName}, PayloadDigest: grant.Digest(nil),
	})
	if err != nil {
		return nil, nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	g, err := gate.New(gate.Config{API: api, Verifier: grant.NewVerifier(grant.NewStaticKeys(signer.Public())), Log: quiet})
	if err != nil {
		return nil, nil, err
	}
	cert, ca, err := gate.SelfSigned()
	if err != nil {
		return nil, nil, err
	}
	session, err := g.Open(ctx, token)
	if err != nil {
		return nil, nil, err
	}
	l, err := service.Listen(ctx, "gate", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	serving, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- service.Serve(serving, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}), g, quiet)
	}()
	stop := func() error {
		session.Close()
		cancel()
		return <-done
	}
	return &rest.Config{Host: "https://" + l.Addr().String(), BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}, stop, nil
}
