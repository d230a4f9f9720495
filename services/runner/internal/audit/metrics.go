package audit

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts records by destination.
type Metrics struct{ sent, dropped *prometheus.CounterVec }

// NewMetrics registers the figures of this package.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "towline_runner_audit_records_total", Help: "Audit records that have arrived, by destination (stream, webhook).",
		}, []string{"destination"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "towline_runner_audit_dropped_total", Help: "Audit records dropped because their queue was full, by destination.",
		}, []string{"destination"}),
	}
	reg.MustRegister(m.sent, m.dropped)
	return m
}
