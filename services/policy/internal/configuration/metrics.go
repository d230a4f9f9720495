package configuration

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct{ faults *prometheus.GaugeVec }

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{faults: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "towline_policy_configuration_faults",
		Help: "Faults of the newest configuration, by source (local, repository); above 0 an older one is in force, or none.",
	}, []string{"source"})}
	reg.MustRegister(m.faults)
	return m
}

func (m metrics) count(source string, faults int) {
	m.faults.WithLabelValues(source).Set(float64(faults))
}

// set counts the lines of an error, one for each fault.
func (m metrics) set(source string, err error) {
	if err == nil {
		m.count(source, 0)
		return
	}
	m.count(source, 1+strings.Count(err.Error(), "\n"))
}
