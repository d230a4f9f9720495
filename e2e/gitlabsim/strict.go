package gitlabsim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sort"
	"strings"
)

// anomaly records one oddity; the mutex must not be held.
func (s *Server) anomaly(ep Endpoint, jobID int64, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(ep, jobID, format, args...)
}

// note is anomaly with the mutex held.
func (s *Server) note(ep Endpoint, jobID int64, format string, args ...any) {
	s.st.anomalies = append(s.st.anomalies, Anomaly{At: s.now(), Endpoint: ep, Job: jobID, What: fmt.Sprintf(format, args...)})
}

// Anomalies answers everything recorded so far in order of time, and adds the
// jobs handed out whose first PUT running is overdue.
func (s *Server) Anomalies() []Anomaly {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.st.anomalies)
	for _, j := range s.st.queue {
		if a, ok := s.missingPut(j); ok {
			out = append(out, a)
		}
	}
	sort.SliceStable(out, func(i, k int) bool { return out[i].At.Before(out[k].At) })
	return out
}

func (s *Server) missingPut(j *job) (Anomaly, bool) {
	due := j.startedAt.Add(s.opts.FirstPutGrace)
	if j.startedAt.IsZero() || j.strict.firstPut || j.strict.faulted[PutJob]+j.strict.faulted[JobsRequest] > 0 || s.now().Before(due) {
		return Anomaly{}, false
	}
	if !j.ended.IsZero() && j.ended.Before(due) {
		return Anomaly{}, false // ended before the grace was over
	}
	return Anomaly{At: due, Endpoint: PutJob, Job: j.id, What: "handed out, but the first PUT running never came"}, true
}

// AnomaliesExcept is Anomalies without rewinds and without those whose text
// contains one of the given substrings.
func (s *Server) AnomaliesExcept(expected ...string) []Anomaly {
	return slices.DeleteFunc(s.Anomalies(), func(a Anomaly) bool {
		return a.Rewind || slices.ContainsFunc(expected, func(e string) bool { return strings.Contains(a.What, e) })
	})
}

// ResetAnomalies forgets the anomalies recorded so far.
func (s *Server) ResetAnomalies() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.anomalies = nil
}

func (s *Server) checkUserAgent(ep Endpoint, jobID int64, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/api/v4/") {
		return
	}
	if ua := r.UserAgent(); ua == "" || strings.HasPrefix(ua, "Go-http-client/") {
		s.anomaly(ep, jobID, "User-Agent missing (%q)", ua)
	}
}

// schema lists the keys of a JSON object; a nil value means any content.
type schema map[string]schema

var (
	infoSchema = schema{
		"name": nil, "version": nil, "revision": nil, "platform": nil, "architecture": nil, "executor": nil, "shell": nil,
		"features": nil, "config": {"gpus": nil}, "labels": nil,
	}
	verifySchema  = schema{"token": nil, "system_id": nil, "info": infoSchema}
	tokenSchema   = schema{"token": nil, "system_id": nil}
	requestSchema = schema{
		"token": nil, "system_id": nil, "last_update": nil, "info": infoSchema,
		"session": {"url": nil, "certificate": nil, "authorization": nil},
	}
	putSchema = schema{
		"info": infoSchema, "token": nil, "state": nil, "checksum": nil, "failure_reason": nil, "exit_code": nil,
		"output": {"checksum": nil, "bytesize": nil}, "runtime_environment_key": nil,
	}
)

// unknownKeys lists the keys outside the schema as dotted paths.
func (sc schema) unknownKeys(prefix string, v map[string]any) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(v)) {
		sub, ok := sc[k]
		if !ok {
			out = append(out, prefix+k)
			continue
		}
		if m, isMap := v[k].(map[string]any); isMap && sub != nil {
			out = append(out, sub.unknownKeys(prefix+k+".", m)...)
		}
	}
	return out
}

// features known on the wire, in wire order (3.2).
var knownFeatures = strings.Fields(`variables image services artifacts cache fallback_cache_keys shared
 upload_multiple_artifacts upload_raw_artifacts session terminal refspecs masking proxy raw_variables artifacts_exclude
 multi_build_steps trace_reset trace_checksum trace_size vault_secrets cancelable return_exit_code service_variables
 service_multiple_aliases image_executor_opts service_executor_opts cancel_gracefully native_steps_integration
 two_phase_job_commit job_inputs`)

// featuresOf reads info.features; the mutex is held.
func (s *Server) featuresOf(ep Endpoint, jobID int64, info map[string]any) map[string]bool {
	raw, ok := info["features"].(map[string]any)
	if !ok {
		s.note(ep, jobID, "info carries no features")
		return nil
	}
	out := map[string]bool{}
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		on, isBool := raw[k].(bool)
		switch {
		case !slices.Contains(knownFeatures, k):
			s.note(ep, jobID, "unknown feature %q advertised", k)
		case !isBool:
			s.note(ep, jobID, "feature %q is not a boolean", k)
		case on:
			out[k] = true
		}
	}
	return out
}
