package report

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what was reported to GitLab.
type Metrics struct {
	jobs  *prometheus.CounterVec
	bytes prometheus.Counter
}

// NewMetrics registers the figures of this package.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		jobs:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "towline_tunnel_jobs_reported_total", Help: "Jobs whose final state GitLab has accepted, by state."}, []string{"state"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "towline_tunnel_log_bytes_total", Help: "Bytes of job logs sent to GitLab."}),
	}
	reg.MustRegister(m.jobs, m.bytes)
	return m
}

func (m *Metrics) reported(state string) { m.jobs.WithLabelValues(state).Inc() }
func (m *Metrics) patched(n int)         { m.bytes.Add(float64(n)) }
