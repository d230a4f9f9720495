package scenarios

import (
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

func TestArtifactsBetweenJobs(t *testing.T) {
	s := open(t, "artifacts")
	jobs := s.start()
	build := s.wait(jobs["build"].ID)
	s.want(build, sim.Success, "", 0)
	if got := storedBy(build); !slices.Equal(got, []string{"archive build-main.zip 1 week", "dotenv .env.gz 1 week", "junit junit.xml.gz 1 week"}) {
		t.Errorf("build stored %q", got)
	}
	s.want(s.wait(jobs["failing"].ID), sim.Failed, "script_failure", 3)
	s.want(s.wait(jobs["nothing"].ID), sim.Success, "", 0)
	s.want(s.wait(jobs["deploy"].ID), sim.Success, "", 0)
}

func storedBy(j sim.Job) []string {
	var out []string
	for _, a := range j.Artifacts {
		out = append(out, a.Type+" "+a.Filename+" "+a.ExpireIn)
	}
	return out
}

func TestArtifactsThatCannotBeStoredFailTheJob(t *testing.T) {
	s := open(t, "artifacts-fail")
	s.gitlab.Inject(sim.Fault{Endpoint: sim.UploadArtifact, Times: -1, Status: http.StatusRequestEntityTooLarge})
	s.want(s.wait(s.start()["build"].ID), sim.Failed, "script_failure", 1)
}

func TestArtifactsThatAreGoneFailTheStage(t *testing.T) {
	s := open(t, "artifacts-fail")
	s.gitlab.Inject(sim.Fault{Endpoint: sim.DownloadArtifact, Times: -1, Status: http.StatusNotFound})
	s.want(s.wait(s.start()["deploy"].ID), sim.Failed, "script_failure", 1)
}

func TestArtifactsOfTheCacheRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s := open(t, "cache", func(s *scenario) {
		s.opts.RunnerArgs, s.opts.TunnelArgs = []string{"--cache-dir=" + dir}, []string{"--cache"}
	})
	jobs := s.start()
	for _, name := range []string{"build", "deploy", "fallback", "nowhere"} {
		s.want(s.wait(jobs[name].ID), sim.Success, "", 0)
	}
	if kept, err := filepath.Glob(filepath.Join(dir, "*", "*.tar.zst")); err != nil || len(kept) != 1 {
		t.Errorf("%d caches are kept (%v)", len(kept), err)
	}
}
