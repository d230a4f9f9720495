package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/towline/towline/pkg/retry"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 32 << 10
	stopTimeout       = 10 * time.Second
)

// NewRegistry returns a metrics registry with the process's own figures.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// NewRouter returns a gin engine that serves /livez, /readyz and /metrics and
// turns a panic of a handler into a 500 and a log line. The state of the links
// becomes a metric of reg.
func NewRouter(h *Health, reg *prometheus.Registry, log *slog.Logger) *gin.Engine {
	reg.MustRegister(h)
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, what any) {
		log.Error("handler panicked", "path", c.FullPath(), KeyError, fmt.Sprint(what))
		c.AbortWithStatus(http.StatusInternalServerError)
	}))
	r.GET("/livez", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	r.GET("/readyz", func(c *gin.Context) {
		rep := h.Report()
		code := http.StatusOK
		if !rep.Ready {
			code = http.StatusServiceUnavailable
		}
		c.JSON(code, rep)
	})
	r.GET("/metrics", gin.WrapH(promhttp.HandlerFor(reg, promhttp.HandlerOpts{})))
	return r
}

// Listen opens a TCP listener; the error names the option.
func Listen(ctx context.Context, option, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--%s=%s: %w", option, addr, err)
	}
	return l, nil
}

// Later returns a context below ctx that ends the given time after ended did.
// stop must be called.
func Later(ctx, ended context.Context, after time.Duration) (_ context.Context, stop func()) {
	later, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(ended, func() {
		retry.Sleep(later, after)
		cancel()
	})
	return later, func() { unhook(); cancel() }
}

// Serve answers HTTP on l until ctx ends, then lets requests finish for a few
// seconds. Cancellation is not an error. Faults of single connections, such as
// a client that goes away during the handshake, are logged for debugging only.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, log *slog.Logger) error {
	over, stop := Later(context.WithoutCancel(ctx), ctx, stopTimeout)
	defer stop()
	return ServeUntil(ctx, over, l, handler, log)
}

// ServeUntil is Serve that lets requests finish until over ends. Connections that
// a handler has taken over (hijacked) are the handler's.
func ServeUntil(ctx, over context.Context, l net.Listener, handler http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		if srv.Shutdown(over) != nil {
			_ = srv.Close()
		}
	}()
	err := srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		<-done
		return nil
	}
	return err
}
