package job

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/toolbox"
)

// Names in the temporary directory that belong to the runner. Keys of file
// variables cannot collide with those that start with a dot.
const (
	gitlabEnvName = "gitlab_runner_env"
	homeName      = ".home"
	scratchName   = ".tmp"
)

// Limits on what a job's environment may add.
const (
	maxFileKey    = 255     // length of a file variable's key
	maxGitLabEnv  = 1 << 20 // bytes read from GITLAB_ENV
	privateFile   = 0o600
	privateFolder = 0o700
)

// Values of CI_JOB_STATUS.
const (
	statusRunning  = "running"
	statusSuccess  = "success"
	statusFailed   = "failed"
	statusCanceled = "canceled"
	statusTimedOut = "timedout"
)

// environment is what the stages of a job share: its variables and where the
// file variables lie.
type environment struct {
	spec *Spec
	temp *os.Root
	vars jobspec.Variables // expanded, effective
}

// newEnvironment resolves the variables of a job (section 6). It writes
// nothing yet.
func newEnvironment(spec *Spec, temp *os.Root) *environment {
	list := runnerVariables(spec)
	for _, v := range spec.Job.Variables {
		// The kubeconfig that GitLab makes leads to GitLab and not to the gate,
		// and the last word on feature flags is the runner's (section 6.2).
		if v.Key == kubeconfigName || strings.HasPrefix(v.Key, "FF_") {
			continue
		}
		list = append(list, v)
	}
	if v, own := clusterPath(spec.Job.Variables); own {
		list = append(list, v)
	}
	list = append(list, enforcedVariables(spec)...)
	e := &environment{spec: spec, temp: temp}
	e.vars = list.Expanded(e.path).Effective()
	return e
}

// path is where a file variable lies.
func (e *environment) path(key string) string { return filepath.Join(e.spec.TempDir, key) }

// runnerVariables come before the job's own, which win.
func runnerVariables(spec *Spec) jobspec.Variables {
	raw := func(key, value string) jobspec.Variable {
		return jobspec.Variable{Key: key, Value: value, Raw: true}
	}
	list := jobspec.Variables{
		raw("PATH", toolbox.SearchPath(spec.Toolbox)),
		raw("HOME", filepath.Join(spec.TempDir, homeName)),
		raw("TMPDIR", filepath.Join(spec.TempDir, scratchName)),
		raw("SHELL", toolbox.ShellPath),
		raw("CI_BUILDS_DIR", filepath.Dir(spec.ProjectDir)),
		raw("CI_PROJECT_DIR", spec.ProjectDir),
		raw("CI_CONCURRENT_ID", "0"),
		raw("CI_CONCURRENT_PROJECT_ID", "0"),
		raw("CI_SERVER", "yes"),
		raw("CI_JOB_STATUS", statusRunning),
		raw("CI_JOB_TIMEOUT", strconv.Itoa(int(spec.Job.Timeout().Seconds()))),
	}
	list = append(list, flagVariables(spec)...)
	if spec.GitCA != "" {
		list = append(list, jobspec.Variable{Key: "CI_SERVER_TLS_CA_FILE", Value: spec.GitCA, Raw: true, File: true})
	}
	if img := spec.Job.Image; img != nil && img.Name != "" {
		list = append(list, jobspec.Variable{Key: "CI_JOB_IMAGE", Value: img.Name})
	}
	return list
}

// enforcedVariables come after the job's own and cannot be overridden.
func enforcedVariables(spec *Spec) jobspec.Variables {
	list := jobspec.Variables{
		{Key: "CI_DISPOSABLE_ENVIRONMENT", Value: "true"},
		{Key: "CI_RUNNER_VERSION", Value: spec.RunnerVersion},
		{Key: "CI_RUNNER_REVISION", Value: revision()},
		{Key: "CI_RUNNER_EXECUTABLE_ARCH", Value: runtime.GOOS + "/" + runtime.GOARCH},
		{Key: "RUNNER_TEMP_PROJECT_DIR", Value: spec.TempDir},
		{Key: "GITLAB_ENV", Value: filepath.Join(spec.TempDir, gitlabEnvName)},
	}
	if _, own := clusterPath(spec.Job.Variables); !own && spec.Kubeconfig != "" {
		list = append(list, jobspec.Variable{Key: kubeconfigName, Value: filepath.Join(spec.TempDir, kubeconfigName)})
	}
	for i := range list {
		list[i].Raw = true
	}
	return list
}

// revision is the commit that the runner was built from, or what GitLab's runner
// says where that is not known.
func revision() string {
	const short = 8
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= short {
				return s.Value[:short]
			}
		}
	}
	return "HEAD"
}

// configError is a fault of the job's definition.
type configError struct{ text string }

func (e *configError) Error() string { return e.text }

// write creates the directories and files that the environment names.
func (e *environment) write() error {
	for _, dir := range []string{homeName, scratchName} {
		if err := e.temp.Mkdir(dir, privateFolder); err != nil {
			return fmt.Errorf("temporary directory: %w", err)
		}
	}
	if e.spec.Kubeconfig != "" {
		if err := e.create(kubeconfigName, e.spec.Kubeconfig); err != nil {
			return fmt.Errorf("kubeconfig: %w", err)
		}
	}
	for _, v := range e.vars {
		if !v.File {
			continue
		}
		if !plainFileName(v.Key) {
			return &configError{fmt.Sprintf("the file variable %q cannot be written: its key is not a plain file name", v.Key)}
		}
		if err := e.create(v.Key, v.Value); err != nil {
			return fmt.Errorf("file variable %s: %w", v.Key, err)
		}
	}
	return nil
}

func (e *environment) create(name, content string) error {
	f, err := e.temp.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, privateFile)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(content); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// cleanup removes what write has created and the script may not have removed.
func (e *environment) cleanup() {
	for _, v := range e.vars {
		if v.File && plainFileName(v.Key) {
			_ = e.temp.RemoveAll(v.Key)
		}
	}
	for _, name := range []string{kubeconfigName, gitlabEnvName, scratchName, homeName} {
		_ = e.temp.RemoveAll(name)
	}
}

// plainFileName accepts what names a file of its own inside a directory.
func plainFileName(key string) bool {
	return key != "" && len(key) <= maxFileKey && key[0] != '.' &&
		key != kubeconfigName && key != gitlabEnvName &&
		strings.IndexFunc(key, func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f }) < 0
}

// shell lists the environment of a new shell as KEY=value.
func (e *environment) shell(status string) []string {
	out := make([]string, 0, len(e.vars)+1)
	for _, v := range e.vars {
		switch {
		case v.Key == "" || strings.ContainsAny(v.Key, "=\x00"):
			continue
		case v.Key == "CI_JOB_STATUS":
			continue
		case v.File:
			v.Value = e.path(v.Key)
		}
		out = append(out, v.Key+"="+v.Value)
	}
	out = append(out, "CI_JOB_STATUS="+status)
	return append(out, e.exported()...)
}

// exported reads the KEY=value lines that an earlier stage has written to
// GITLAB_ENV (section 6.2). Lines of another form are ignored.
func (e *environment) exported() []string {
	f, err := e.temp.Open(gitlabEnvName)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxGitLabEnv {
		return nil
	}
	var out []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxGitLabEnv)
	for lines.Scan() {
		key, _, ok := strings.Cut(lines.Text(), "=")
		if ok && jobspec.IsShellName(key) {
			out = append(out, lines.Text())
		}
	}
	return out
}

// get returns the value of a variable that steers the runner itself.
func (e *environment) get(key string) string { return e.vars.Get(key) }
