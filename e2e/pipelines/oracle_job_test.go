package pipelines

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// oracleJob is one job under the real bash.
type oracleJob struct {
	payload
	runner *oracleRunner
	root   string
	env    []string
	log    bytes.Buffer
	code   int
}

func (j *oracleJob) project() string { return filepath.Join(j.root, "project") }

// start runs a job to its end.
func (r *oracleRunner) start(p payload) *oracleJob {
	j := &oracleJob{payload: p, runner: r, root: filepath.Join(r.dir, "work", fmt.Sprintf("%d-0", p.ID))}
	if err := errors.Join(j.prepare(), j.sources(), j.download()); err != nil {
		j.say("oracle: " + err.Error())
		j.code = 1
		return j
	}
	for _, s := range j.Steps {
		switch s.Name {
		case "script":
			j.say(`Executing "step_script" stage of the job script`)
			j.code = j.script(s.Script)
		case "after_script":
			j.say("Running after_script")
			j.say("Running after script...")
			if code := j.script(s.Script); code != 0 {
				j.say("WARNING: after_script failed, but job will continue unaffected: exit status " + fmt.Sprint(code))
			}
		}
	}
	j.upload()
	j.say("Cleaning up project directory and file based variables")
	if j.code == 0 {
		j.say("Job succeeded")
	} else {
		j.say(fmt.Sprintf("ERROR: Job failed: exit status %d", j.code))
	}
	for _, v := range j.Variables {
		if v.Masked && v.Value != "" {
			masked := bytes.ReplaceAll(j.log.Bytes(), []byte(v.Value), []byte("[MASKED]"))
			j.log.Reset()
			j.log.Write(masked)
		}
	}
	return j
}

// say writes a line of the runner's own.
func (j *oracleJob) say(line string) {
	if b := j.log.Bytes(); len(b) > 0 && b[len(b)-1] != '\n' {
		j.log.WriteByte('\n')
	}
	fmt.Fprintln(&j.log, line)
}

func (j *oracleJob) value(name string) string {
	for _, v := range slices.Backward(j.Variables) {
		if v.Key == name {
			return v.Value
		}
	}
	return ""
}

// prepare makes the directories, the variables and the kubeconfig.
func (j *oracleJob) prepare() error {
	files, home := j.project()+".tmp", filepath.Join(j.root, "home")
	for _, dir := range []string{j.project(), files, home} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	j.env = []string{
		"PATH=" + j.runner.tools + ":/usr/local/bin:/usr/bin:/bin", "HOME=" + home, "CI_PROJECT_DIR=" + j.project(), "CI_BUILDS_DIR=" + j.root,
		"CI_SERVER=yes", "CI_JOB_STATUS=running", "KUBECONFIG=" + filepath.Join(files, "KUBECONFIG"),
	}
	for _, v := range j.Variables {
		value := strings.ReplaceAll(v.Value, "$CI_PROJECT_DIR", j.project())
		if v.Key == "KUBECONFIG" {
			continue
		}
		if v.File {
			if err := os.WriteFile(filepath.Join(files, v.Key), []byte(value), 0o600); err != nil {
				return err
			}
			value = filepath.Join(files, v.Key)
		}
		j.env = append(j.env, v.Key+"="+value)
	}
	config, err := clientcmd.LoadFromFile(j.runner.kubeconfig)
	if err != nil {
		return err
	}
	const name = clusters + ":" + agentName
	current := config.Contexts[config.CurrentContext]
	for _, user := range config.AuthInfos {
		user.Impersonate = fmt.Sprintf("gitlab:ci_job:%d", j.ID)
		user.ImpersonateGroups = []string{"gitlab:ci_job", fmt.Sprintf("gitlab:project:%d", j.JobInfo.Project)}
	}
	config.Contexts = map[string]*api.Context{name: {Cluster: current.Cluster, AuthInfo: current.AuthInfo}}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, filepath.Join(files, "KUBECONFIG"))
}

func (j *oracleJob) sources() error {
	if j.value("GIT_STRATEGY") == "none" {
		return nil
	}
	fetch := []string{"fetch", "--quiet", "--no-recurse-submodules", j.Git.URL}
	if j.Git.Depth > 0 {
		fetch = append(fetch, fmt.Sprintf("--depth=%d", j.Git.Depth))
	}
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"remote", "add", "origin", j.Git.URL},
		append(fetch, j.Git.Refspecs...),
		{"checkout", "--quiet", "--force", j.Git.SHA},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = j.project()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
	}
	return nil
}

// wrapper is what GitLab's runner puts around a script (11).
const wrapper = "set -o pipefail\nset -o errexit\nset +o noclobber\n: | (eval \"$1\")\nexit 0\n"

func (j *oracleJob) script(items []string) int {
	var text strings.Builder
	for _, item := range items {
		item = strings.TrimSpace(item)
		shown, _, several := strings.Cut(item, "\n")
		if several {
			shown += " # collapsed multi-line command"
		}
		shown = strings.ReplaceAll("\x1b[32;1m$ "+shown+"\x1b[0;m", "'", `'\''`)
		fmt.Fprintf(&text, "echo '%s'\n%s\n", shown, item)
	}
	cmd := exec.Command("bash", "-c", wrapper, "bash", text.String())
	cmd.Dir, cmd.Env = j.project(), slices.Clone(j.env)
	if j.log.Len() > 0 && bytes.Contains(j.log.Bytes(), []byte("Running after_script")) {
		status := "success"
		if j.code != 0 {
			status = "failed"
		}
		cmd.Env = append(cmd.Env, "CI_JOB_STATUS="+status)
	}
	cmd.Stdout, cmd.Stderr = &j.log, &j.log
	cmd.WaitDelay = time.Second // for what the script leaves running
	if err := cmd.Run(); err != nil {
		return max(cmd.ProcessState.ExitCode(), 1)
	}
	return 0
}

// download unpacks the artifacts of other jobs.
func (j *oracleJob) download() error {
	for _, d := range j.Dependencies {
		if d.Artifact == nil {
			continue
		}
		req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/api/v4/jobs/%d/artifacts", j.runner.url, d.ID), nil)
		if err != nil {
			return err
		}
		req.Header.Set("JOB-TOKEN", d.Token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			return fmt.Errorf("artifacts of job %d: %w", d.ID, err)
		}
		for _, f := range archive.File {
			if err := unpack(f, filepath.Join(j.project(), f.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func unpack(f *zip.File, to string) error {
	if f.FileInfo().IsDir() {
		return os.MkdirAll(to, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	content, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, f.Mode().Perm())
}

// upload packs what the job leaves to others.
func (j *oracleJob) upload() {
	for _, a := range j.Artifacts {
		if when := a.When; when != "always" && (when == "on_failure") == (j.code == 0) {
			continue
		}
		var packed bytes.Buffer
		name := "artifacts.zip"
		var err error
		if a.Format == "gzip" {
			name = a.Type + ".gz"
			err = j.zipped(&packed, a.Paths)
		} else {
			err = j.archived(&packed, a.Paths, a.Exclude)
		}
		if err == nil {
			err = j.send(name, a.Type, a.Format, packed.Bytes())
		}
		if err != nil {
			j.say("oracle: " + err.Error())
		}
	}
}

// globbed lets bash find the files of some patterns.
func (j *oracleJob) globbed(patterns []string) ([]string, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	cmd := exec.Command("bash", "-O", "globstar", "-O", "nullglob", "-O", "dotglob", "-c", `for f in $PATTERNS; do find "${f%/}" ! -type d; done`)
	cmd.Dir, cmd.Env = j.project(), append(slices.Clone(j.env), "PATTERNS="+strings.Join(patterns, " "))
	out, err := cmd.Output()
	return strings.Fields(string(out)), err
}

func (j *oracleJob) archived(to io.Writer, paths, exclude []string) error {
	files, err := j.globbed(paths)
	if err != nil {
		return err
	}
	without, err := j.globbed(exclude)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(to)
	for _, f := range files {
		if slices.Contains(without, f) {
			continue
		}
		info, err := os.Stat(filepath.Join(j.project(), f))
		if err != nil {
			return err
		}
		header, err := zip.FileInfoHeader(info)
		if err != nil {
			return err
		}
		header.Name = f
		w, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(filepath.Join(j.project(), f))
		if err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return archive.Close()
}

func (j *oracleJob) zipped(to io.Writer, paths []string) error {
	files, err := j.globbed(paths)
	if err != nil {
		return err
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(j.project(), f))
		if err != nil {
			return err
		}
		w := gzip.NewWriter(to)
		w.Name = filepath.Base(f)
		if _, err := w.Write(content); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (j *oracleJob) send(name, kind, format string, content []byte) error {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		return err
	}
	if _, err := part.Write(content); err != nil {
		return err
	}
	if err := form.Close(); err != nil {
		return err
	}
	query := url.Values{"artifact_format": {format}, "artifact_type": {kind}}
	req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("%s/api/v4/jobs/%d/artifacts?%s", j.runner.url, j.ID, query.Encode()), &body)
	if err != nil {
		return err
	}
	req.Header.Set("JOB-TOKEN", j.Token)
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("upload of %s answered %d: %s", name, resp.StatusCode, text)
	}
	return nil
}
