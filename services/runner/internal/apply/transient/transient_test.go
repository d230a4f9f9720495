package transient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestWhatPasses(t *testing.T) {
	maps := schema.GroupResource{Resource: "configmaps"}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{apierrors.NewTooManyRequests("slow", 1), true},
		{apierrors.NewServiceUnavailable("starting"), true},
		{apierrors.NewTimeoutError("request did not complete", 0), true},
		{apierrors.NewServerTimeout(maps, "get", 0), true},
		{apierrors.NewGenericServerResponse(502, "get", maps, "a", "bad gateway", 0, true), true},
		{apierrors.NewInternalError(errors.New("etcdserver: leader changed")), true},
		{apierrors.NewInternalError(errors.New(`failed calling webhook "a": context deadline exceeded`)), false},
		{apierrors.NewInternalError(errors.New(`failed calling webhook "a": failed to call webhook: Post "https://a.b.svc:443/": dial tcp 10.0.0.1:443: connect: connection refused`)), true},
		{apierrors.NewInternalError(errors.New(`failed calling webhook "a": failed to call webhook: Post "https://a.b.svc:443/": no endpoints available for service "a"`)), true},
		{apierrors.NewInternalError(errors.New(`failed calling webhook "a": failed to call webhook: service "a" not found`)), false},
		{apierrors.NewInternalError(errors.New("dial tcp 10.0.0.1:443: connect: connection refused")), false},
		{apierrors.NewNotFound(maps, "a"), false},
		{apierrors.NewConflict(maps, "a", errors.New("changed")), false},
		{apierrors.NewForbidden(maps, "a", nil), false},
		{&net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, true},
		{&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, true},
		{fmt.Errorf("wrapped: %w", syscall.ECONNRESET), true},
		{io.ErrUnexpectedEOF, true},
		{errors.New("no such thing"), false},
		{&apierrors.StatusError{ErrStatus: metav1.Status{Code: 500, Message: "panic"}}, false},
	} {
		if got := Is(c.err); got != c.want {
			t.Errorf("%v passes: %v", c.err, got)
		}
	}
}

func TestRequestsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		err := Do(t.Context(), func() error {
			if n++; n < 4 {
				return apierrors.NewTimeoutError("slow", 0)
			}
			return nil
		})
		if err != nil || n != 4 {
			t.Errorf("%d requests: %v", n, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		cancel(gone)
		if err := Do(ctx, func() error { t.Error("asked"); return nil }); !errors.Is(err, gone) {
			t.Error(err)
		}
	})
}
