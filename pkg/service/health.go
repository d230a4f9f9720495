package service

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/retry"
)

var linkUp = prometheus.NewDesc("towline_link_up", "Whether what the service depends on answers (1) or not (0), by link.", []string{"link"}, nil)

// Health collects the links a service needs: it is ready while all are up.
// Liveness is another matter: an outage of GitLab or Redis restarts nothing.
type Health struct {
	log   *slog.Logger
	mu    sync.Mutex
	links map[string]state
}

// state of a link; the zero value is up.
type state struct{ why, remark string }

// NewHealth returns a Health without links.
func NewHealth(log *slog.Logger) *Health {
	return &Health{log: log, links: map[string]state{}}
}

// Link is one thing the service depends on, for example "redis" or "gitlab".
type Link struct {
	name string
	h    *Health
}

// Link registers a dependency. It is down until Up is called.
func (h *Health) Link(name string) *Link {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.links[name] = state{why: "not connected yet"}
	return &Link{name: name, h: h}
}

// Up marks the link as working; one line is logged when that is news.
func (l *Link) Up() { l.set(state{}) }

// Remark marks the link as working with something a person should know; one
// line is logged when the text is news.
func (l *Link) Remark(what string) { l.set(state{remark: what}) }

// Down marks the link as broken. why says what is wrong and what to do about
// it; one line is logged when the text is news.
func (l *Link) Down(why error) { l.set(state{why: why.Error()}) }

func (l *Link) set(now state) {
	l.h.mu.Lock()
	before := l.h.links[l.name]
	l.h.links[l.name] = now
	l.h.mu.Unlock()
	switch {
	case before == now:
	case now.remark != "":
		l.h.log.Warn("link is up, with a remark", KeyLink, l.name, "remark", now.remark)
	case now.why == "":
		l.h.log.Info("link is up", KeyLink, l.name)
	default:
		l.h.log.Warn("link is down", KeyLink, l.name, KeyError, now.why)
	}
}

// Pauses of Watch.
const (
	watchUp   = 3 * time.Second
	watchDown = 500 * time.Millisecond
)

// Watch keeps the link's state true by asking again and again until ctx ends;
// more often while it is down.
func (l *Link) Watch(ctx context.Context, ask func(context.Context) error) error {
	for {
		pause := watchUp
		if err := ask(ctx); err == nil {
			l.Up()
		} else if ctx.Err() == nil {
			l.Down(err)
			pause = watchDown
		}
		if !retry.Sleep(ctx, pause) {
			return nil
		}
	}
}

// Report is the state of every link.
type Report struct {
	Ready bool              `json:"ready"`
	Links map[string]string `json:"links"`
}

// Report says whether the service is ready and why not.
func (h *Health) Report() Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Report{Ready: true, Links: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(h.links)) {
		r.Links[name] = "up"
		switch now := h.links[name]; {
		case now.why != "":
			r.Ready, r.Links[name] = false, now.why
		case now.remark != "":
			r.Links[name] = "up; " + now.remark
		}
	}
	return r
}

// Describe implements prometheus.Collector.
func (h *Health) Describe(to chan<- *prometheus.Desc) { to <- linkUp }

// Collect implements prometheus.Collector: one figure for each link.
func (h *Health) Collect(to chan<- prometheus.Metric) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, now := range h.links {
		var up float64
		if now.why == "" {
			up = 1
		}
		to <- prometheus.MustNewConstMetric(linkUp, prometheus.GaugeValue, up, name)
	}
}
