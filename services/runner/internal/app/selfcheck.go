package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/towline/towline/pkg/certs"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/redislink"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/selfcheck"
)

// SelfCheckCommand is the argument with which the binary looks at an
// installation from end to end.
const SelfCheckCommand = "selfcheck"

// noIdentity is the --identity with which the gate is not checked.
const noIdentity = "none"

// selfCheckMain is `towline-runner selfcheck`.
func selfCheckMain(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	var (
		redis                          redislink.Options
		prefix, policy, tunnel, egress string
		caFile, kubeconfig, identity   string
		egressTLS, exact               bool
		timeout                        time.Duration
		s                              = service.NewSettings("runner selfcheck", getenv, out)
	)
	redis.Bind(s)
	s.String(&prefix, "redis-prefix", "towline", "first part of every key in Redis")
	s.String(&policy, "policy-url", "http://127.0.0.1:8081", "address of policy")
	s.String(&tunnel, "tunnel-url", "http://127.0.0.1:8080", "address of the tunnel's health")
	s.String(&egress, "egress-address", "127.0.0.1:8082", "host:port of the tunnel's egress proxy")
	s.Bool(&egressTLS, "egress-tls", false, "speak TLS to the tunnel's egress proxy")
	s.String(&caFile, "ca-file", "", "PEM file of the authorities that the certificates of policy and of the tunnel must come from; empty: the system's")
	s.String(&kubeconfig, "kubeconfig", "", "kubeconfig for the Kubernetes API; empty uses the pod's ServiceAccount")
	s.String(&identity, "identity", "", "whom to pass the gate as, for example a ServiceAccount; empty: a job of nobody; none: nobody")
	s.Bool(&exact, "exact-names", false, "jobs that act as themselves are all one user, and carry no groups but those that are listed")
	s.Duration(&timeout, "timeout", time.Minute, "how long to wait for what is not good yet")
	if err := s.Parse(args); err != nil {
		return err
	}
	trust, err := certs.ForServices(caFile)
	if err != nil {
		return err
	}
	rdb, err := redis.Open()
	if err != nil {
		return err
	}
	api, err := apiConfig(kubeconfig)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: checkTimeout, Transport: trust.Transport()}
	dial := (&net.Dialer{Timeout: checkTimeout}).DialContext
	if egressTLS {
		dial = trust.Dial
	}
	checks := []selfcheck.Check{
		selfcheck.Redis(ledger.New(rdb, prefix)), selfcheck.Policy(client, policy), selfcheck.Tunnel(client, tunnel),
		selfcheck.GitLab(client, tunnel), selfcheck.Egress(dial, egress),
	}
	if identity != noIdentity {
		checks = append(checks, selfcheck.Gate(api, checkedIdentity(identity, exact)))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := selfcheck.Run(ctx, checks, out); err != nil {
		return errors.Join(err, rdb.Close())
	}
	_, err = fmt.Fprintln(out, "everything works")
	return errors.Join(err, rdb.Close())
}

// checkedIdentity is a job of nobody, or whoever is named.
func checkedIdentity(user string, exact bool) grant.Identity {
	if user == "" {
		job := selfcheck.JobIdentity()
		if exact {
			job.User, job.Groups = "gitlab:ci_job:any", job.Groups[:1]
		}
		return job
	}
	return grant.Identity{Mode: grant.ModeAgent, User: user}
}
