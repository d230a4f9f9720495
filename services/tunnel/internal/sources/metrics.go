package sources

import "github.com/prometheus/client_golang/prometheus"

// Metrics tells how the followed files are.
type Metrics struct{ faults prometheus.Gauge }

// NewMetrics registers the figures of this package.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{faults: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "towline_tunnel_configuration_faults",
		Help: "Faults of the newest configuration in GitLab; above 0 an older one is in force, or none.",
	})}
	reg.MustRegister(m.faults)
	return m
}

func (m *Metrics) count(faults int) { m.faults.Set(float64(faults)) }
