package gitlabsim

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func (j *testJob) upload(kind, format, name, content string) reply {
	j.f.t.Helper()
	var body bytes.Buffer
	mw := multipart.NewWriter(&body)
	part, err := mw.CreateFormFile("file", name)
	j.f.must(err)
	_, err = part.Write([]byte(content))
	j.f.must(err)
	j.f.must(mw.Close())
	q := url.Values{"artifact_type": {kind}, "artifact_format": {format}, "expire_in": {"1 week"}}
	return j.f.send("POST", j.path("/artifacts?"+q.Encode()), map[string]string{
		"Content-Type": mw.FormDataContentType(), "JOB-TOKEN": j.token,
	}, body.Bytes())
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	if _, err := zw.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const artifactYAML = `
stages: [build, test]
build:
  stage: build
  script: [x]
  artifacts: {paths: [out], reports: {dotenv: build.env}}
test:
  stage: test
  script: [x]
`

func TestArtifactsAndDependencies(t *testing.T) {
	f := newFixture(t, Options{ArtifactsRedirect: true})
	f.pipeline(artifactYAML)
	j := f.take()
	list := j.payload["artifacts"].([]any)
	if len(list) != 2 || list[1].(map[string]any)["artifact_type"] != "dotenv" || list[0].(map[string]any)["artifact_format"] != "zip" {
		t.Fatalf("artifacts = %v", list)
	}
	r := j.upload("archive", "zip", "artifacts.zip", "PK content")
	f.wantStatus(r, http.StatusCreated)
	if strings.TrimSpace(string(r.body)) != `"201"` {
		t.Errorf("body = %s", r.body)
	}
	f.wantStatus(j.upload("archive", "zip", "artifacts.zip", "PK content"), http.StatusCreated)
	f.wantStatus(j.upload("dotenv", "gzip", ".env", gzipped(t, "BUILT=yes\nexport TWO=\"2\"\n")), http.StatusCreated)
	f.clean()
	r = j.upload("archive", "zip", "artifacts.zip", "PK other")
	f.wantStatus(r, http.StatusBadRequest)
	if !strings.Contains(string(r.body), "another artifact of the same type already exists") {
		t.Errorf("body = %s", r.body)
	}
	f.ResetAnomalies()
	j.log("x")
	j.finish("success", nil)

	next := f.take()
	dep := next.payload["dependencies"].([]any)[0].(map[string]any)
	if dep["token"] != next.token || dep["artifacts_file"].(map[string]any)["filename"] != "artifacts.zip" {
		t.Errorf("dependency = %v", dep)
	}
	if v, _ := next.variable("BUILT"); v["value"] != "yes" {
		t.Errorf("dotenv variable = %v", v)
	}
	path := fmt.Sprintf("/api/v4/jobs/%d/artifacts", j.id)
	r = f.send("GET", path+"?direct_download=true", map[string]string{"JOB-TOKEN": next.token}, nil)
	f.wantStatus(r, http.StatusFound)
	object := r.header.Get("Location")
	r = f.send("GET", path, map[string]string{"JOB-TOKEN": next.token}, nil)
	f.wantStatus(r, http.StatusOK)
	if string(r.body) != "PK content" {
		t.Errorf("body = %q", r.body)
	}
	u, err := url.Parse(object)
	f.must(err)
	f.wantStatus(f.send("GET", u.Path, nil, nil), http.StatusOK)
	f.clean()
	f.send("GET", u.Path, map[string]string{"JOB-TOKEN": next.token}, nil)
	f.wantAnomaly("sent to object storage")
	f.wantStatus(f.send("GET", path, map[string]string{"JOB-TOKEN": j.token}, nil), http.StatusUnauthorized)
	f.wantStatus(f.send("GET", "/api/v4/jobs/1/artifacts", map[string]string{"JOB-TOKEN": next.token}, nil), http.StatusNotFound)
}

func TestArtifactRefusals(t *testing.T) {
	f, j := jobFixture(t, Options{ArtifactSizeLimit: 100})
	for name, tt := range map[string]struct {
		r    reply
		want int
	}{
		"too large":     {j.upload("archive", "zip", "a.zip", "PK"+strings.Repeat("x", 100)), 413},
		"unknown type":  {j.upload("magic", "zip", "a.zip", "PK"), 400},
		"wrong format":  {j.upload("archive", "gzip", "a.gz", "\x1f\x8b"), 400},
		"not a zip":     {j.upload("archive", "zip", "a.zip", "nope"), 400},
		"bad dotenv":    {j.upload("dotenv", "gzip", ".env", gzipped(t, "not a pair\n")), 400},
		"not multipart": {f.send("POST", j.path("/artifacts"), map[string]string{"JOB-TOKEN": j.token}, []byte("PK")), 400},
		"wrong token":   {f.send("POST", j.path("/artifacts"), map[string]string{"JOB-TOKEN": "x"}, []byte("PK")), 403},
	} {
		if tt.r.status != tt.want {
			t.Errorf("%s: %d, want %d: %s", name, tt.r.status, tt.want, tt.r.body)
		}
	}
	if len(j.state().Artifacts) != 0 {
		t.Error("a refused artifact was stored")
	}
	off, k := jobFixture(t, Options{ArtifactsDisabled: true})
	off.wantStatus(k.upload("archive", "zip", "a.zip", "PK"), http.StatusMethodNotAllowed)
}

func TestErasedDependencyFailsTheJob(t *testing.T) {
	f := newFixture(t, Options{})
	pl := f.pipeline(artifactYAML)
	j := f.take()
	j.upload("archive", "zip", "artifacts.zip", "PK content")
	j.log("x")
	j.finish("success", nil)
	f.must(f.EraseJob(j.id))
	f.wantStatus(f.poll(), http.StatusNoContent)
	pl, err := f.Pipeline(pl.ID)
	f.must(err)
	if next, _ := pl.Job("test"); next.FailureReason != "missing_dependency_failure" {
		t.Errorf("test is %s %s", next.Status, next.FailureReason)
	}
}

// Without needs and dependencies a job downloads from earlier stages only.
func TestSiblingsAreNoDependencies(t *testing.T) {
	f := newFixture(t, Options{})
	f.pipeline("a: {script: [x]}\nb: {script: [x]}\nc: {script: [x], needs: [a]}\nd: {script: [x], needs: [{job: a, artifacts: false}]}\n")
	f.run("success")
	for _, want := range []int{0, 1, 0} { // b, c, d
		j := f.take()
		if got := j.payload["dependencies"].([]any); len(got) != want {
			t.Errorf("%v depends on %v", j.payload["job_info"], got)
		}
	}
	f.clean()
}
