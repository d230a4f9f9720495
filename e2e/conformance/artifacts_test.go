package conformance

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
)

// elsewhereURL is GitLab under another name of its host, as an object storage is.
func (i *installation) elsewhereURL() string {
	_, port, err := net.SplitHostPort(i.gitlab.Addr())
	must(i.t, err)
	return "http://" + net.JoinHostPort("localhost", port)
}

func TestArtifactsAndCaches(t *testing.T) {
	t.Parallel()
	caches := t.TempDir()
	i := install(t, sim.Options{ArtifactsRedirect: true}, func(i *installation, o *rig.Options) {
		o.RunnerArgs = append(o.RunnerArgs, "--cache-dir="+caches)
		o.TunnelArgs = append(o.TunnelArgs, "--cache", "--egress-hosts="+strings.TrimPrefix(i.elsewhereURL(), "http://"))
	})
	// The first case is what others depend on: see needsFirst.
	i.runAll(slices.Concat(storedCases(), fetchedCases(), lostCases()))
}

const needsFirst = "needs: [c000]\n"

func storedCases() []execCase {
	return []execCase{
		{
			of: []int{96}, name: "given several entries when the job ends then each is a POST, in the order of the payload, with its query",
			yaml: "script: [mkdir out, echo a > out/a, echo V=1 > env, \"echo '<x/>' > r.xml\"]\nartifacts:\n  name: $CI_JOB_NAME\n  paths: [out/]\n  expire_in: 1 week\n  reports: {junit: r.xml, dotenv: env}",
			check: func(t *testing.T, _ string, j sim.Job) {
				var got []string
				for _, a := range j.Artifacts {
					got = append(got, a.Type+" "+a.Format+" "+a.Filename+" "+a.ExpireIn)
				}
				if want := []string{"archive zip c000.zip 1 week", "junit gzip junit.xml.gz 1 week", "dotenv gzip .env.gz 1 week"}; !slices.Equal(got, want) {
					t.Errorf("GitLab has %q", got)
				}
			},
		},
		{
			name: "given no file that matches when the job ends then it says so and succeeds",
			yaml: "script: [\"true\"]\nartifacts:\n  paths: [nothing/]", has: []string{"ERROR: No files to upload", "Job succeeded"}, check: stores(),
		},
		{
			of: []int{100}, name: "given a report of several files when it is stored then each is a gzip member of its own",
			yaml: "script: [echo 1 > a.xml, echo 2 > b.xml, echo 3 > c.xml]\nartifacts:\n  reports: {junit: \"*.xml\"}", check: stores("junit junit.xml.gz"),
			content: map[string]func(t *testing.T, b []byte){"junit": func(t *testing.T, b []byte) {
				r := bytes.NewReader(b)
				zr, err := gzip.NewReader(r)
				must(t, err)
				for _, want := range []string{"a.xml 1\n", "b.xml 2\n", "c.xml 3\n"} {
					zr.Multistream(false)
					text, err := io.ReadAll(zr)
					must(t, err)
					if got := zr.Name + " " + string(text); got != want {
						t.Errorf("member %q, want %q", got, want)
					}
					if err := zr.Reset(r); err != nil && err != io.EOF {
						t.Error(err)
					}
				}
			}},
		},
		{
			name: "given a raw report of two files when it is stored then the job fails and says why",
			yaml: "script: [echo 1 > a.json, echo 2 > b.json]\nartifacts:\n  reports: {codequality: \"*.json\"}", status: sim.Failed, reason: "script_failure", exit: 1,
			has: []string{"ERROR: only one file can be sent as raw"}, check: stores(),
		},
		{
			of: []int{98}, name: "given a 307 to another host when artifacts are stored then they are sent there",
			yaml: "script: [echo a > a]\nartifacts:\n  paths: [a]", check: stores("archive artifacts.zip"),
			before: func(i *installation, id int64) {
				i.gitlab.Inject(sim.Fault{Endpoint: sim.UploadArtifact, Job: id, Status: http.StatusTemporaryRedirect, Header: map[string]string{"Location": i.elsewhereURL() + "/api/v4/jobs"}})
			},
		},
	}
}

func fetchedCases() []execCase {
	return []execCase{
		{
			of: []int{101}, name: "given a 302 to a storage when a dependency is fetched then it is followed, without the token",
			yaml: needsFirst + "script: [cat out/a]", has: []string{"Downloading artifacts", "Downloading artifacts for c000 (1001)...", "a"},
		},
		{
			name: "given ARTIFACT_DOWNLOAD_ATTEMPTS of 2 when a dependency cannot be fetched then it is tried twice", mutate: missing,
			yaml:   "variables: {GIT_STRATEGY: none, ARTIFACT_DOWNLOAD_ATTEMPTS: \"2\"}\nscript: [echo never]",
			status: sim.Failed, reason: "script_failure", exit: 1, has: []string{"WARNING: Retrying in 5s (attempt 2 of 2)"}, lacks: []string{"\nnever\n"},
		},
		{
			name: "given numbers of attempts out of range when cache and artifacts are fetched then the nearest counts and each is named",
			yaml: needsFirst + "variables: {ARTIFACT_DOWNLOAD_ATTEMPTS: \"99\", RESTORE_CACHE_ATTEMPTS: \"0\"}\ncache: {key: other, paths: [x/]}\nscript: [cat out/a]",
			has: []string{
				"WARNING: ARTIFACT_DOWNLOAD_ATTEMPTS: number of attempts out of the range [1, 10], using the nearest",
				"WARNING: RESTORE_CACHE_ATTEMPTS: number of attempts out of the range [1, 10], using the nearest", "Job succeeded",
			},
		},
		{
			name: "given a dependency without artifacts when the job runs then nothing is said of it", mutate: func(p object) {
				for _, d := range p["dependencies"].([]object) {
					delete(d, "artifacts_file")
				}
			},
			yaml: needsFirst + "script: [\"[ -e out ] || echo none\"]", has: []string{"none"}, lacks: []string{"Downloading artifacts"},
		},
		{
			of: []int{71}, name: "given a dependency that is gone when it is fetched then neither script nor after_script runs, and failure uploads do", mutate: missing,
			yaml:   "variables: {GIT_STRATEGY: clone}\nscript: [echo never]\nafter_script: [echo never]\nartifacts:\n  when: always\n  paths: [hello.txt]",
			status: sim.Failed, reason: "script_failure", exit: 1, has: []string{"Downloading artifacts", "Uploading artifacts for failed job"},
			lacks: []string{"\nnever\n", "step_script", "Running after_script"}, check: stores("archive artifacts.zip"),
		},
		{
			name: "given a dependency that is gone when it is fetched then what only a good job stores is not stored", mutate: missing,
			yaml:   "variables: {GIT_STRATEGY: clone}\nscript: [echo never]\nartifacts:\n  paths: [hello.txt]",
			status: sim.Failed, reason: "script_failure", exit: 1, lacks: []string{"\nnever\n", "Uploading artifacts"}, check: stores(),
		},
	}
}

func lostCases() []execCase {
	return []execCase{
		{
			of: []int{72}, name: "given a good script when its artifacts cannot be stored then the job fails",
			yaml: "script: [echo a > a]\nafter_script: [\"echo status=$CI_JOB_STATUS\"]\nartifacts:\n  paths: [a]", status: sim.Failed, reason: "script_failure", exit: 1,
			has: []string{"status=success", "Uploading artifacts for successful job"}, lacks: []string{"Job succeeded"}, check: stores(), before: refusing,
		},
		{
			name: "given a failed script when its artifacts cannot be stored then the script's exit code counts",
			yaml: "script: [echo a > a, exit 7]\nartifacts:\n  when: always\n  paths: [a]", status: sim.Failed, reason: "script_failure", exit: 7, check: stores(), before: refusing,
		},
		{
			name: "given a cache that cannot be saved when the job ends then its artifacts are stored and it succeeds",
			yaml: "cache:\n  key: k\n  paths: [nothing/]\nscript: [echo a > a]\nartifacts:\n  paths: [a]", check: stores("archive artifacts.zip"),
			has: []string{"Saving cache for successful job", "WARNING: Failed to create cache", "Uploading artifacts for successful job", "Job succeeded"},
		},
	}
}

// missing gives a job a dependency whose artifacts are nowhere.
func missing(p object) {
	p["dependencies"] = []object{{"id": 1, "name": "gone", "token": p["token"], "artifacts_file": object{"filename": "artifacts.zip", "size": 100}}}
}

// refusing has GitLab take no artifacts of a job.
func refusing(i *installation, id int64) {
	i.gitlab.Inject(sim.Fault{Endpoint: sim.UploadArtifact, Job: id, Times: -1, Status: http.StatusRequestEntityTooLarge})
}

// stores wants what GitLab has of a job.
func stores(want ...string) func(*testing.T, string, sim.Job) {
	return func(t *testing.T, _ string, j sim.Job) {
		t.Helper()
		var got []string
		for _, a := range j.Artifacts {
			got = append(got, a.Type+" "+a.Filename)
		}
		if !slices.Equal(got, want) {
			t.Errorf("GitLab has %q, want %q", got, want)
		}
	}
}
