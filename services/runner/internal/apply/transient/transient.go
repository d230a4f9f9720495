package transient

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/towline/towline/pkg/retry"
)

// patience with an API server that does not answer, or has too much to do.
var patience = retry.Policy{Min: 200 * time.Millisecond, Max: 5 * time.Second, Attempts: 5}

// Do repeats a request while its failure is one that passes, up to five times.
// It returns the last error.
func Do(ctx context.Context, request func() error) error {
	err := context.Cause(ctx) // of a run that has ended already
	patience.Loop(ctx, func(context.Context) retry.Result {
		if err = request(); !Is(err) {
			return retry.Result{Outcome: retry.Done}
		}
		res := retry.Result{Outcome: retry.Failed}
		if after, ok := apierrors.SuggestsClientDelay(err); ok {
			res.After = time.Duration(after) * time.Second
		}
		return res
	})
	return err
}

// Is says whether an error is one that passes. A nil one is none.
func Is(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
			status.Status().Code == http.StatusBadGateway || apierrors.IsInternalError(err) && passing(status.Status().Message)
	}
	return utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err) || utilnet.IsTimeout(err)
}

// passing says whether an internal error passes: one of the store, which elects a
// leader now and then, and one of a webhook whose pods are being replaced. What
// else webhooks fail with lasts.
func passing(text string) bool {
	return strings.Contains(text, "etcdserver: ") ||
		strings.Contains(text, "failed calling webhook") && (strings.Contains(text, "connection refused") || strings.Contains(text, "no endpoints available for service"))
}
