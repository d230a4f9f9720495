package worker

import (
	"github.com/towline/towline/services/runner/internal/job"
)

// openCache lets the job's process reach its own entries of the cache, if this
// runner has one; end takes that back.
func (r *running) openCache(spec *job.Spec) (end func()) {
	if r.w.Cache == nil || len(spec.Job.Cache) == 0 {
		return func() {}
	}
	port := r.w.Endpoint.CachePort
	spec.Cache, end = r.w.Cache.Open(&spec.Job, job.Expander(spec), port, spec.Proxy)
	spec.Ports = append(spec.Ports, port)
	return end
}
