package gitlabsim

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// git runs the real client away from the user's configuration.
func runGit(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0",
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestCloneAndFetchWithJobToken(t *testing.T) {
	f := newFixture(t, Options{})
	dir := t.TempDir()
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, "file.txt"), fmt.Appendf(nil, "version %d\n", i), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".gitlab-ci.yml"), []byte(simpleYAML), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := f.PushDir(f.project, "main", dir)
		f.must(err)
	}
	pl, err := f.RunPipeline(PipelineOptions{Project: f.project})
	f.must(err)
	j := f.take()
	info := j.payload["git_info"].(map[string]any)
	if info["sha"] != pl.SHA || info["depth"].(float64) != 20 || info["protected"] != true || info["ref_type"] != "branch" {
		t.Fatalf("git_info = %v", info)
	}
	repoURL := info["repo_url"].(string)
	for _, protocol := range []string{"0", "2"} {
		t.Run("shallow fetch of the refspecs, protocol "+protocol, func(t *testing.T) {
			work := t.TempDir()
			args := []string{"-c", "protocol.version=" + protocol, "fetch", "--quiet", "--depth", "1", repoURL}
			for _, r := range info["refspecs"].([]any) {
				args = append(args, r.(string))
			}
			for _, step := range [][]string{{"init", "-q"}, args, {"checkout", "-q", pl.SHA}} {
				if out, err := runGit(t, work, step...); err != nil {
					t.Fatalf("git %v: %v\n%s", step, err, out)
				}
			}
			content, err := os.ReadFile(filepath.Join(work, "file.txt"))
			if err != nil || string(content) != "version 2\n" {
				t.Errorf("content %q, %v", content, err)
			}
			out, err := runGit(t, work, "rev-list", "--count", "HEAD")
			if err != nil || strings.TrimSpace(out) != "1" {
				t.Errorf("history of %s commits, %v", out, err)
			}
		})
	}
	f.clean()
	t.Run("full clone, no push", func(t *testing.T) { f.cloneAndPush(t, repoURL) })
	j.log("x")
	j.finish("success", nil)
	if out, err := runGit(t, t.TempDir(), "ls-remote", repoURL); err == nil {
		t.Errorf("the token of a finished job works: %s", out)
	}
	f.wantAnomaly("token of a finished job")
}

// cloneAndPush clones all three commits and meets a refusal when it pushes.
func (f *fixture) cloneAndPush(t *testing.T, repoURL string) {
	t.Helper()
	work := t.TempDir()
	if out, err := runGit(t, work, "clone", "-q", repoURL, "c"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, _ := runGit(t, filepath.Join(work, "c"), "rev-list", "--count", "HEAD"); strings.TrimSpace(out) != "3" {
		t.Errorf("history of %s commits", out)
	}
	f.clean()
	if out, err := runGit(t, filepath.Join(work, "c"), "push", "origin", "HEAD:refs/heads/x"); err == nil {
		t.Errorf("push worked: %s", out)
	}
	f.wantAnomaly("is not a fetch")
}

func TestGitCredentials(t *testing.T) {
	f := newFixture(t, Options{})
	f.pipeline(simpleYAML)
	f.project = "other/thing"
	_, err := f.CreateProject(ProjectOptions{Path: f.project})
	f.must(err)
	_, err = f.Push(f.project, "main", map[string]string{"a": "b"})
	f.must(err)
	d, err := f.CreateDeployToken(f.project, "robot")
	f.must(err)
	read, err := f.CreateAccessToken(AccessTokenOptions{Project: f.project, Scopes: []string{"read_repository"}})
	f.must(err)
	api, err := f.CreateAccessToken(AccessTokenOptions{Project: f.project, Scopes: []string{"read_api"}})
	f.must(err)
	j := f.take()
	for name, tt := range map[string]struct {
		user, password string
		want           int
	}{
		"deploy token":                 {"robot", d.Token, 200},
		"deploy token, other name":     {"someone", d.Token, 401},
		"access token":                 {"any", read, 200},
		"access token without scope":   {"any", api, 404},
		"wrong":                        {"gitlab-ci-token", "nonsense", 401},
		"job token of another project": {"gitlab-ci-token", j.token, 404},
	} {
		req, err := http.NewRequest(http.MethodGet, "http://"+f.Addr()+"/other/thing.git/info/refs?service=git-upload-pack", nil)
		f.must(err)
		req.SetBasicAuth(tt.user, tt.password)
		resp, err := http.DefaultClient.Do(req)
		f.must(err)
		_ = resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, tt.want)
		}
	}
	f.wantAnomaly("wrong git credentials")
	r := f.send("GET", "/other/thing.git/info/refs?service=git-upload-pack", nil, nil)
	if r.status != 401 || r.header.Get("WWW-Authenticate") != `Basic realm="GitLab"` {
		t.Errorf("%d %v", r.status, r.header)
	}
	f.clean()
	f.RevokeToken(d.Token)
}

func TestPushFilesAndTags(t *testing.T) {
	f := newFixture(t, Options{})
	_, err := f.Push(f.project, "main", map[string]string{".gitlab-ci.yml": simpleYAML, "a/run.sh": "#!/bin/sh\n", "b": "1"})
	f.must(err)
	_, err = f.PushFiles(f.project, "main", map[string]*string{"b": nil})
	f.must(err)
	f.must(f.CreateTag(f.project, "v1", "main"))
	f.must(f.SetProtected(f.project, "main", "tag:v*"))
	pl, err := f.RunPipeline(PipelineOptions{Project: f.project, Ref: "v1"})
	f.must(err)
	j := f.take()
	info := j.payload["git_info"].(map[string]any)
	if info["ref_type"] != "tag" || info["protected"] != true || !strings.Contains(fmt.Sprint(info["refspecs"]), "refs/tags/v1") {
		t.Errorf("git_info = %v", info)
	}
	if v, n := j.variable("CI_COMMIT_BRANCH"); n != 0 {
		t.Errorf("tag pipeline has CI_COMMIT_BRANCH %v", v)
	}
	work := t.TempDir()
	if out, err := runGit(t, work, "clone", "-q", info["repo_url"].(string), "c"); err != nil {
		t.Fatal(out)
	}
	if st, err := os.Stat(filepath.Join(work, "c/a/run.sh")); err != nil || st.Mode()&0o100 == 0 {
		t.Errorf("run.sh: %v %v", st, err)
	}
	if _, err := os.Stat(filepath.Join(work, "c/b")); err == nil {
		t.Error("deleted file is there")
	}
	f.must(f.DeleteBranch(f.project, "main"))
	if out, err := runGit(t, work, "ls-remote", info["repo_url"].(string), fmt.Sprintf("refs/pipelines/%d", pl.ID)); err != nil || !strings.Contains(out, pl.SHA) {
		t.Errorf("%v %s", err, out)
	}
}

func TestRawFile(t *testing.T) {
	f := newFixture(t, Options{})
	sha, err := f.Push(f.project, "main", map[string]string{"dir/some file.yaml": "a: 1\n", ".gitlab-ci.yml": simpleYAML})
	f.must(err)
	token, err := f.CreateAccessToken(AccessTokenOptions{Project: f.project, Scopes: []string{"read_api"}})
	f.must(err)
	auth := map[string]string{"PRIVATE-TOKEN": token}
	path := "/api/v4/projects/acme%2Fapps%2Fhello/repository/files/dir%2Fsome%20file.yaml/raw?ref="
	for _, ref := range []string{"HEAD", "main", sha} {
		r := f.send("GET", path+ref, auth, nil)
		f.wantStatus(r, http.StatusOK)
		if string(r.body) != "a: 1\n" || r.header.Get("X-Gitlab-Commit-Id") != sha || r.header.Get("X-Gitlab-File-Path") != "dir/some file.yaml" || len(r.header.Get("X-Gitlab-Blob-Id")) != 40 {
			t.Errorf("%q %v", r.body, r.header)
		}
		r = f.send("GET", path+ref, map[string]string{"PRIVATE-TOKEN": token, "If-None-Match": r.header.Get("ETag")}, nil)
		if r.status != http.StatusNotModified || len(r.body) != 0 || r.header.Get("X-Gitlab-Commit-Id") != sha {
			t.Errorf("If-None-Match: %d %v", r.status, r.header)
		}
	}
	r := f.send("GET", "/api/v4/projects/20/repository/files/none/raw?ref=HEAD", auth, nil)
	f.wantStatus(r, http.StatusNotFound)
	if r.json(t)["message"] != "404 File Not Found" {
		t.Errorf("body = %s", r.body)
	}
	f.wantStatus(f.send("GET", "/api/v4/projects/20/repository/files/none/raw?ref=nope", auth, nil), http.StatusNotFound)
	_, err = f.RunPipeline(PipelineOptions{Project: f.project})
	f.must(err)
	j := f.take()
	f.wantStatus(f.send("GET", path+"main", map[string]string{"JOB-TOKEN": j.token}, nil), http.StatusOK)
	f.clean()
	f.wantStatus(f.send("GET", path+"main", map[string]string{"PRIVATE-TOKEN": "glpat-x"}, nil), http.StatusUnauthorized)
	f.wantAnomaly("no valid token")
	f.wantStatus(f.send("GET", "/api/v4/projects/99/repository/files/x/raw", auth, nil), http.StatusNotFound)
}
