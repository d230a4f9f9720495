package syncs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/syncspec"
)

// Metrics are figures of each entry.
type Metrics struct {
	results      *prometheus.CounterVec
	sourceErrors *prometheus.CounterVec
	drifted      *prometheus.CounterVec
	success      *prometheus.GaugeVec
	seconds      *prometheus.GaugeVec
	objects      *prometheus.GaugeVec
}

// NewMetrics registers the figures of this package.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	entry := []string{"entry"}
	m := &Metrics{
		results:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "towline_sync_results_total", Help: "Syncs that ended, by entry and state (success, failed, lost)."}, []string{"entry", "state"}),
		sourceErrors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "towline_sync_source_errors_total", Help: "Looks at an entry's source that failed."}, entry),
		drifted:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "towline_sync_drifted_objects_total", Help: "Objects that were not as the last sync had left them."}, entry),
		success:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "towline_sync_last_success_timestamp_seconds", Help: "When an entry was last synced successfully."}, entry),
		seconds:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "towline_sync_last_seconds", Help: "Duration of an entry's last sync."}, entry),
		objects:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "towline_sync_objects", Help: "Objects of an entry at its last sync."}, entry),
	}
	reg.MustRegister(m.results, m.sourceErrors, m.drifted, m.success, m.seconds, m.objects)
	return m
}

// ended takes a result over. One that an earlier tunnel has counted, told again,
// is not counted twice.
func (m *Metrics) ended(r syncspec.Report, again bool) {
	if !again {
		m.results.WithLabelValues(r.Entry, string(r.State)).Inc()
		m.drifted.WithLabelValues(r.Entry).Add(float64(r.Drifted))
	}
	if r.Millis > 0 { // else nothing was tried
		m.seconds.WithLabelValues(r.Entry).Set(float64(r.Millis) / float64(time.Second/time.Millisecond))
	}
	if r.State != syncspec.Succeeded {
		return
	}
	m.objects.WithLabelValues(r.Entry).Set(float64(r.Objects))
	switch {
	case r.Ended > 0:
		m.success.WithLabelValues(r.Entry).Set(float64(r.Ended))
	case !again:
		m.success.WithLabelValues(r.Entry).SetToCurrentTime()
	}
}

// forget drops the figures of an entry that is gone.
func (m *Metrics) forget(entry string) {
	match := prometheus.Labels{"entry": entry}
	for _, v := range []interface{ DeletePartialMatch(prometheus.Labels) int }{m.results, m.sourceErrors, m.drifted, m.success, m.seconds, m.objects} {
		v.DeletePartialMatch(match)
	}
}
