package gitlabsim

import (
	"fmt"
	"slices"

	"github.com/towline/towline/e2e/gitlabsim/ciyaml"
)

// report describes how an artifact type travels: its format and the fixed
// file name GitLab gives it. The entries beyond cobertura are not verified
// (13.1).
type report struct{ format, name string }

var reportTypes = map[string]report{
	"archive": {"zip", ""}, "metadata": {"gzip", "metadata.gz"}, "dotenv": {"gzip", ".env"}, "junit": {"gzip", "junit.xml"},
	"cobertura": {"gzip", "cobertura-coverage.xml"}, "jacoco": {"gzip", "jacoco-coverage.xml"}, "metrics": {"gzip", "metrics.txt"},
	"cyclonedx": {"gzip", "gl-sbom.cdx.json"}, "annotations": {"gzip", "gl-annotations.json"}, "lsif": {"zip", "lsif.json"},
	"codequality": {"raw", "gl-code-quality-report.json"}, "terraform": {"raw", "tfplan.json"}, "accessibility": {"gzip", "gl-accessibility.json"},
	"sast": {"raw", "gl-sast-report.json"}, "secret_detection": {"raw", "gl-secret-detection-report.json"},
	"dependency_scanning": {"raw", "gl-dependency-scanning-report.json"}, "container_scanning": {"raw", "gl-container-scanning-report.json"},
	"dast": {"raw", "gl-dast-report.json"}, "license_scanning": {"raw", "gl-license-scanning-report.json"},
	"performance": {"raw", "performance.json"}, "browser_performance": {"raw", "browser-performance.json"},
	"load_performance": {"raw", "load-performance.json"}, "requirements": {"raw", "requirements.json"},
	"cluster_image_scanning": {"raw", "gl-cluster-image-scanning-report.json"}, "api_fuzzing": {"raw", "gl-api-fuzzing-report.json"},
	"coverage_fuzzing": {"raw", "gl-coverage-fuzzing.json"}, "cluster_applications": {"gzip", "gl-cluster-applications.json"},
	"requirements_v2": {"raw", "requirements_v2.json"}, "repository_xray": {"gzip", "gl-repository-xray.json"},
}

// artifactEntities is null without artifacts; the archive comes first, then
// the reports with fixed names and when: always (section 4).
func (j *job) artifactEntities() any {
	a := j.spec.Artifacts
	if a == nil {
		return nil
	}
	var out []obj
	if len(a.Paths) > 0 || a.Untracked {
		e := obj{
			"name": nil, "untracked": a.Untracked, "paths": orNil(a.Paths), "when": orDefault(a.When, "on_success"),
			"artifact_type": "archive", "artifact_format": "zip", "expire_in": nil,
		}
		if a.Name != "" {
			e["name"] = a.Name
		}
		if a.ExpireIn != "" {
			e["expire_in"] = a.ExpireIn
		}
		if len(a.Exclude) > 0 {
			e["exclude"] = a.Exclude
		}
		out = append(out, e)
	}
	for _, r := range a.Reports {
		kind := reportTypes[r.Type]
		e := obj{
			"name": kind.name, "paths": r.Paths, "when": "always", "artifact_type": r.Type, "artifact_format": kind.format, "expire_in": nil,
		}
		if a.ExpireIn != "" {
			e["expire_in"] = a.ExpireIn
		}
		out = append(out, e)
	}
	return orNil(out)
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// cacheEntities appends the protection suffix that is the security boundary
// between protected and other refs (13.3).
func (s *Server) cacheEntities(j *job) []obj {
	out := []obj{}
	suffix := "-non_protected"
	if s.protectedRef(j.pipeline) {
		suffix = "-protected"
	}
	for _, c := range j.spec.Cache {
		fallback := []string{}
		for _, k := range c.FallbackKeys {
			fallback = append(fallback, k+suffix)
		}
		out = append(out, obj{
			"key": c.Key + suffix, "untracked": c.Untracked, "paths": orNil(c.Paths), "policy": c.Policy, "when": c.When, "fallback_keys": fallback,
		})
	}
	return out
}

func hasFallback(c ciyaml.Cache) bool { return len(c.FallbackKeys) > 0 }

// dependenciesOf are the jobs whose artifacts the job downloads: dependencies,
// else needs, else all of earlier stages; the mutex is held.
func (s *Server) dependenciesOf(j *job) []*job {
	var out []*job
	for _, d := range j.pipeline.jobs {
		if d.retried || d == j {
			continue
		}
		need := slices.IndexFunc(j.spec.Needs, func(n ciyaml.Need) bool { return n.Job == d.spec.Name })
		switch {
		case j.spec.HasNeeds && (need < 0 || !j.spec.Needs[need].Artifacts):
			continue
		case !j.spec.HasNeeds && d.stageIdx >= j.stageIdx:
			continue
		case j.spec.HasDeps && !slices.Contains(j.spec.Dependencies, d.spec.Name):
			continue
		}
		if d.status == Success || d.status == Failed {
			out = append(out, d)
		}
	}
	return out
}

// dependencyEntities carries the current job's token for each dependency
// (13.2); one without an archive has no artifacts_file.
func (s *Server) dependencyEntities(j *job) []obj {
	out := []obj{}
	for _, d := range s.dependenciesOf(j) {
		e := obj{"id": d.id, "name": d.spec.Name, "token": j.token}
		if a := d.artifact("archive"); a != nil {
			e["artifacts_file"] = obj{"filename": a.Filename, "size": a.Size}
		}
		out = append(out, e)
	}
	return out
}

func (j *job) artifact(kind string) *artifact {
	for _, a := range j.artifacts {
		if a.Type == kind {
			return a
		}
	}
	return nil
}

// stableUUID is a made-up but stable identifier.
func stableUUID(kind string, id int64) string {
	h := shaHex([]byte(fmt.Sprintf("%s/%d", kind, id)))
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:32]
}
