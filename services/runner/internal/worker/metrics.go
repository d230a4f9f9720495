package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts jobs.
type Metrics struct {
	running prometheus.Gauge
	seconds *prometheus.HistogramVec
}

// NewMetrics registers the figures of this package.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		running: prometheus.NewGauge(prometheus.GaugeOpts{Name: "towline_runner_jobs_running", Help: "Jobs in progress."}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "towline_runner_job_seconds", Help: "Duration of jobs from claim to result, by state.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600},
		}, []string{"state"}),
	}
	reg.MustRegister(m.running, m.seconds)
	return m
}

func (m *Metrics) finished(state string, took time.Duration) {
	m.seconds.WithLabelValues(state).Observe(took.Seconds())
}
