package job

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/jobspec"
)

// coordinator is the artifact side of GitLab.
type coordinator struct {
	*httptest.Server
	mu       sync.Mutex
	code     int // of uploads
	uploads  []string
	download []byte // nil is 404
}

func newCoordinator(t *testing.T) *coordinator {
	t.Helper()
	c := &coordinator{code: http.StatusCreated}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *coordinator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Method == http.MethodGet {
		if c.download == nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(c.download)
		return
	}
	mr, err := r.MultipartReader()
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	}
	part, err := mr.NextPart()
	if err == nil {
		_, err = io.Copy(io.Discard, part)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	}
	c.uploads = append(c.uploads, r.URL.Query().Get("artifact_type")+" "+part.FileName())
	w.WriteHeader(c.code)
}

// storing adds artifacts to a job.
func (s *Spec) storing(c *coordinator, list ...jobspec.Artifact) *Spec {
	s.GitLabURL, s.Job.ID, s.Job.Token = c.URL, 1001, "token"
	s.Job.Artifacts = list
	return s
}

// stagesOf lists the sections of a log in order.
func stagesOf(log string) []string {
	out := []string{}
	for line := range strings.SplitSeq(log, "\n") {
		if _, rest, ok := strings.Cut(line, "section_start:1700000000:"); ok {
			name, _, _ := strings.Cut(rest, "\r")
			out = append(out, name)
		}
	}
	return out
}

var everyWhen = []jobspec.Artifact{
	{Name: "good", Paths: []string{"f"}, ArtifactType: "archive", Format: "zip"},
	{Name: "bad", Paths: []string{"f"}, ArtifactType: "archive", Format: "zip", When: "on_failure"},
	{Name: "report-$REF", Paths: []string{"$FILE"}, ArtifactType: "junit", Format: "gzip", When: "always"},
}

// The failure matrix of the runner-api sheet, section 10.
func TestWhichArtifactsAreStored(t *testing.T) {
	prepare := []string{"prepare_executor", "prepare_script", "get_sources"}
	for name, tt := range map[string]struct {
		script  string
		change  func(*Spec)
		code    int
		uploads []string
		stages  []string
		result  Result
	}{
		"good script": {
			script: "echo > f", uploads: []string{"archive good.zip", "junit report-main.gz"}, result: Result{State: StateSuccess},
			stages: []string{"step_script", "after_script", "upload_artifacts_on_success", "cleanup_file_variables"},
		},
		"failed script": {
			script: "echo > f; exit 42", uploads: []string{"archive bad.zip", "junit report-main.gz"},
			stages: []string{"step_script", "after_script", "upload_artifacts_on_failure", "cleanup_file_variables"},
			result: Result{State: StateFailed, FailureReason: ReasonScript, ExitCode: 42, Message: "exit status 42"},
		},
		"failed upload": {
			script: "echo > f", code: http.StatusForbidden, uploads: []string{"archive good.zip", "junit report-main.gz"},
			stages: []string{"step_script", "after_script", "upload_artifacts_on_success", "cleanup_file_variables"},
			result: Result{State: StateFailed, FailureReason: ReasonScript, ExitCode: 1, Message: "exit status 1"},
		},
		"failed script and upload": {
			script: "echo > f; exit 42", code: http.StatusForbidden, uploads: []string{"archive bad.zip", "junit report-main.gz"},
			stages: []string{"step_script", "after_script", "upload_artifacts_on_failure", "cleanup_file_variables"},
			result: Result{State: StateFailed, FailureReason: ReasonScript, ExitCode: 42, Message: "exit status 42"},
		},
		"no files": {
			script: "true", uploads: nil, result: Result{State: StateSuccess},
			stages: []string{"step_script", "after_script", "upload_artifacts_on_success", "cleanup_file_variables"},
		},
		"failed sources": {
			script: "echo > f", uploads: nil,
			change: func(s *Spec) { s.with(jobspec.Variable{Key: "GIT_STRATEGY", Value: "clone"}) },
			stages: []string{"upload_artifacts_on_failure", "cleanup_file_variables"},
			result: Result{State: StateFailed, FailureReason: ReasonScript, ExitCode: 1, Message: "exit status 1"},
		},
		"failed download": {
			script: "echo > f", uploads: nil,
			change: func(s *Spec) {
				s.Job.Dependencies = []jobspec.Dependency{{ID: 1, Name: "build", ArtifactsFile: &jobspec.DependencyUpload{Size: 1}}}
			},
			stages: []string{"download_artifacts", "upload_artifacts_on_failure", "cleanup_file_variables"},
			result: Result{State: StateFailed, FailureReason: ReasonScript, ExitCode: 1, Message: "exit status 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCoordinator(t)
			if tt.code != 0 {
				c.code = tt.code
			}
			spec := testSpec(t, tt.script).after("true").storing(c, everyWhen...)
			spec.with(jobspec.Variable{Key: "REF", Value: "main"}, jobspec.Variable{Key: "FILE", Value: "*"})
			spec.Job.Features.TraceSections = true
			if tt.change != nil {
				tt.change(spec)
			}
			got := runJob(t, spec)
			if diff := cmp.Diff(append(prepare[:3:3], tt.stages...), stagesOf(got.log)); diff != "" {
				t.Errorf("stages: %s", diff)
			}
			if diff := cmp.Diff(tt.uploads, c.uploads); diff != "" {
				t.Errorf("uploads: %s\n%s", diff, got.log)
			}
			if got.result != tt.result {
				t.Errorf("result %+v, want %+v\n%s", got.result, tt.result, got.log)
			}
		})
	}
}

func TestArtifactsOfACancelledJobAreThoseOfAFailedOne(t *testing.T) {
	c := newCoordinator(t)
	spec := testSpec(t, "echo > f", "echo started", "sleep 600").storing(c, everyWhen...)
	got := runJobWith(t, spec, t.Context(), func(log string, cancel func()) {
		if strings.Count(log, "started") == 2 {
			cancel()
		}
	})
	if diff := cmp.Diff([]string{"archive bad.zip", "junit report-.gz"}, c.uploads); diff != "" || got.result.FailureReason != ReasonCanceled {
		t.Errorf("uploads %s, result %+v\n%s", diff, got.result, got.log)
	}
}

func TestDependenciesAreUnpackedBeforeTheScript(t *testing.T) {
	c := newCoordinator(t)
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	w, err := zw.Create("out/file")
	if err == nil {
		_, err = fmt.Fprint(w, "from build")
	}
	if err == nil {
		err = zw.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	c.download = b.Bytes()
	spec := testSpec(t, "cat out/file").storing(c)
	spec.Job.Dependencies = []jobspec.Dependency{
		{ID: 998, Name: "build", Token: "token", ArtifactsFile: &jobspec.DependencyUpload{Filename: "artifacts.zip", Size: int64(b.Len())}},
		{ID: 999, Name: "without artifacts"},
	}
	got := runJob(t, spec)
	if got.said() != "from build" || got.result.State != StateSuccess || strings.Contains(got.log, "without artifacts") {
		t.Errorf("said %q, result %+v\n%s", got.said(), got.result, got.log)
	}
}

func TestUntrackedWithoutRepositoryIsAWarning(t *testing.T) {
	c := newCoordinator(t)
	got := runJob(t, testSpec(t, "echo > f").storing(c, jobspec.Artifact{Untracked: true}))
	if got.result.State != StateSuccess || !strings.Contains(got.runner, "WARNING: untracked: the project directory holds no Git repository") || len(c.uploads) != 0 {
		t.Errorf("result %+v, log %s", got.result, got.runner)
	}
}

func TestACloneDirectoryOfTheJobsOwnIsRefused(t *testing.T) {
	got := runJob(t, testSpec(t, "echo never").with(jobspec.Variable{Key: "GIT_CLONE_PATH", Value: "/x"}))
	if got.result.FailureReason != ReasonConfiguration || !strings.Contains(got.result.Message, "GIT_CLONE_PATH") || got.stdout != "" {
		t.Errorf("result %+v, stdout %q", got.result, got.stdout)
	}
}
