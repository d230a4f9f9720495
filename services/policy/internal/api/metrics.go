package api

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	decisions *prometheus.CounterVec
	refused   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "towline_policy_decisions_total", Help: "Decisions about jobs, by answer (allow, deny).",
		}, []string{"answer"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "towline_policy_requests_refused_total", Help: "Requests that led to no decision, by code.",
		}, []string{"code"}),
	}
	reg.MustRegister(m.decisions, m.refused)
	return m
}
