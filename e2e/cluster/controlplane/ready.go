package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const pollEvery = 25 * time.Millisecond

// newAdminClient returns the client that readiness is asked with.
func newAdminClient(admin *rest.Config) (kubernetes.Interface, error) {
	cfg := rest.CopyConfig(admin)
	cfg.QPS = -1 // client-go would slow the polling down
	cfg.Timeout = 5 * time.Second
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("administrator's client: %w", err)
	}
	return client, nil
}

// apiServerReady blocks until /readyz answers with success.
func apiServerReady(ctx context.Context, client kubernetes.Interface) error {
	return poll(ctx, "kube-apiserver", func(ctx context.Context) error {
		return client.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

// controllersReady blocks until the controllers have made the ServiceAccount
// that every pod of namespace default needs.
func controllersReady(ctx context.Context, client kubernetes.Interface) error {
	return poll(ctx, "ServiceAccount default/default", func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

func poll(ctx context.Context, what string, check func(context.Context) error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last := errors.New("not asked yet")
	for {
		if err := check(ctx); err == nil {
			return nil
		} else if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (last answer: %v)", what, context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}
