package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/pkg/certs"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/rules"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/policy/internal/api"
	"github.com/towline/towline/services/policy/internal/callers"
	"github.com/towline/towline/services/policy/internal/configuration"
	"github.com/towline/towline/services/policy/internal/decide"
	"github.com/towline/towline/services/policy/internal/keys"
	"github.com/towline/towline/services/policy/internal/records"
)

// Limits on what is asked of the Kubernetes API.
const (
	kubeTimeout = 10 * time.Second
	kubeQPS     = 50
	kubeBurst   = 100
)

// Run is the whole service, or one of its commands.
func Run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return command(ctx, args, getenv, out)
	}
	s, err := parse(args, getenv, out)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(out, commandsHelp)
		}
		return err
	}
	l, err := service.Listen(ctx, "listen", s.listen)
	if err != nil {
		return err
	}
	defer l.Close()
	if l, err = certs.Listener(l, s.tlsCertFile, s.tlsKeyFile); err != nil {
		return err
	}
	return run(ctx, s, l, out)
}

func run(ctx context.Context, s *settings, l net.Listener, out io.Writer) error {
	log, err := service.NewLogger(out, "policy", s.logFormat, s.logLevel)
	if err != nil {
		return err
	}
	key, err := keys.Load(s.signingKeyFile, log)
	if err != nil {
		return err
	}
	if key.Generated {
		log.Warn("no --signing-key-file is set: grants die with this process, and other replicas do not know its key", "kid", key.KeyID())
	}
	reviews, err := tokenReviews(s.kubeconfig)
	if err != nil {
		return err
	}
	health, reg := service.NewHealth(log), service.NewRegistry()
	kube := health.Link("kubernetes")
	source := configuration.New(s.configuration(), health.Link("configuration"), reg, log)
	owner := ownerRules(s.rules, health, log)
	who := callers.New(reviews, policyapi.Audience, s.callers)
	router := service.NewRouter(health, reg, log)
	decided := &records.Ring{}
	(&api.API{
		Settings: s.decide, Callers: who, Configurations: source, Rules: owner, Signer: key, Records: decided, Log: log,
	}).Mount(router, reg)
	explaining, err := s.explaining(ctx, explainable{
		config: func() (decide.Config, error) { return source.Resolve(nil) }, owner: owner.Current, decided: decided,
	}, log)
	if err != nil {
		return err
	}

	log.Info("policy starts", "agent", s.decide.Agent.Context(), "listen", l.Addr().String(), "kid", key.KeyID())
	return service.RunStages(
		ctx,
		service.Stage{Name: "configuration", Run: source.Run},
		service.Stage{Name: "keys", Run: key.Run},
		service.Stage{Name: "rules", Run: owner.Run},
		service.Stage{Name: "callers", Run: func(ctx context.Context) error { return who.Watch(ctx, kube) }},
		service.Stage{Name: "explain", Run: explaining},
		service.Stage{Name: "http", Run: func(ctx context.Context) error { return service.Serve(ctx, l, router, log) }},
	)
}

// ownerRules watches the rules of the cluster's owner; nil without any.
func ownerRules(path string, health *service.Health, log *slog.Logger) *rules.Watcher {
	if path == "" {
		return nil
	}
	return rules.NewWatcher(path, rules.Reporter(health.Link("rules"), log))
}

// tokenReviews makes the client that checks callers. It dials nothing.
func tokenReviews(kubeconfig string) (authentication.TokenReviewInterface, error) {
	var cfg *rest.Config
	var err error
	if kubeconfig == "" {
		if cfg, err = rest.InClusterConfig(); err != nil {
			return nil, fmt.Errorf("--kubeconfig is empty and this is not a pod with a ServiceAccount token: %w", err)
		}
	} else if cfg, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return nil, fmt.Errorf("--kubeconfig=%s: %w", kubeconfig, err)
	}
	cfg.Timeout, cfg.QPS, cfg.Burst = kubeTimeout, kubeQPS, kubeBurst
	cfg.UserAgent = "towline-policy"
	cfg.ContentType = runtime.ContentTypeJSON // every API server and every proxy in between reads it
	c, err := authentication.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("kubernetes client: %w", err)
	}
	return c.TokenReviews(), nil
}
