package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/artifacts"
	"github.com/towline/towline/services/runner/internal/shell"
	"github.com/towline/towline/services/runner/internal/workspace"
)

// Why a job's context ended.
var (
	errCanceled      = errors.New("canceled")
	errJobTimeout    = errors.New("job timeout")
	errScriptTimeout = errors.New("script timeout")
)

// run is one job on its way through the stages.
type run struct {
	spec   *Spec
	env    *environment
	shell  *shell.Shell
	log    *logger
	stdout io.Writer
	stderr io.Writer
	// started is called right before the first command of the job, and no
	// command runs when it fails.
	started func(context.Context) error
	began   bool

	// canceled ends the scripts but not the job: after_script still runs.
	canceled context.Context

	scriptTimeout time.Duration
	afterTimeout  time.Duration
}

// all runs every stage and writes the last line. ctx ends with the job.
func (r *run) all(ctx context.Context) Result {
	ctx, stop := context.WithTimeoutCause(ctx, r.spec.Job.Timeout(), errJobTimeout)
	defer stop()
	r.log.println("Running with towline " + plain(r.spec.RunnerVersion))
	r.log.println(fmt.Sprintf("  on %s, system ID: %s", plain(r.spec.RunnerName), plain(r.spec.SystemID)))
	r.printFlags()
	err := r.stages(ctx)
	if context.Cause(ctx) == nil {
		_ = r.log.section("cleanup_file_variables", "Cleaning up project directory and file based variables", func() error {
			r.env.cleanup()
			return nil
		})
	} else {
		r.env.cleanup()
	}
	res := r.result(ctx, err)
	switch {
	case res.State == StateSuccess:
		r.log.info("Job succeeded")
	case res.FailureReason == ReasonSystem:
		r.log.failed(joblines.System, res.Message)
	default:
		r.log.failed(joblines.Job, res.Message)
	}
	return res
}

// stages goes through the stages up to after_script (section 10). The error is
// the one that decides how the job ends.
func (r *run) stages(ctx context.Context) error {
	if err := r.refuseUnsupported(); err != nil {
		return err
	}
	r.resolveSecrets()
	if err := r.log.section("prepare_executor", `Preparing the "towline" executor`, r.prepareExecutor); err != nil {
		return err
	}
	if err := r.log.section("prepare_script", "Preparing environment", r.prepareScript); err != nil {
		return err
	}
	err := r.fillProject(ctx)
	if err == nil {
		err = r.scripts(ctx)
	}
	return r.keep(ctx, err)
}

// fillProject goes through the stages that bring files; when one fails, nothing
// of the script runs.
func (r *run) fillProject(ctx context.Context) error {
	for _, stage := range []func(context.Context) error{r.getSources, r.restoreCache, r.downloadArtifacts} {
		if err := stage(ctx); err != nil {
			return err
		}
	}
	return nil
}

// scripts runs the script and whatever became of it after_script.
func (r *run) scripts(ctx context.Context) error {
	err := r.script(ctx)
	if context.Cause(ctx) != nil {
		return err
	}
	if afterErr := r.afterScript(ctx, err); afterErr != nil && err == nil {
		err = afterErr
	}
	return err
}

// keep goes through the stages that take files away. The first error decides; a
// cache that could not be saved is none.
func (r *run) keep(ctx context.Context, err error) error {
	if context.Cause(ctx) != nil {
		return err
	}
	failed := err != nil || r.canceled.Err() != nil
	r.archiveCache(ctx, failed)
	if uploadErr := r.uploadArtifacts(ctx, failed); uploadErr != nil && err == nil {
		err = uploadErr
	}
	return err
}

func (r *run) prepareExecutor() error {
	r.log.println("Using the in-process shell...")
	if img := r.spec.Job.Image; img != nil && img.Name != "" {
		r.log.info(fmt.Sprintf("The image %s is not used: commands run in the runner's own process", plain(img.Name)))
	}
	if len(r.spec.Job.Cache) > 0 && r.spec.Cache == nil {
		r.log.info("The cache is not used: this runner has none")
	}
	switch {
	case len(r.spec.Job.Services) > 0:
		return &configError{"this runner has no services: remove services: from the job or give it to another runner"}
	}
	return nil
}

func (r *run) prepareScript() error {
	r.log.raw("Running on " + plain(r.spec.Hostname) + "...")
	for _, line := range r.spec.Preamble {
		r.log.println(plain(line))
	}
	r.printPolicy()
	r.printDebug()
	r.printIneffective()
	if err := r.checkKubeconfig(); err != nil {
		return err
	}
	r.scriptTimeout, r.afterTimeout = stageTimeouts(r.env, r.log)
	return r.env.write()
}

func (r *run) getSources(ctx context.Context) error {
	return r.log.section("get_sources", "Getting source from Git repository", func() error {
		if r.env.get("GIT_CLONE_PATH") != "" {
			return &configError{"setting GIT_CLONE_PATH is not allowed: this runner chooses the directory, which is in CI_PROJECT_DIR"}
		}
		if f := r.spec.Job.GitInfo.RepoObjectFormat; f != "" && f != "sha1" && !workspace.Skipped(r.env.get) {
			return &configError{fmt.Sprintf("this runner does not read repositories of the object format %s: give the job to another runner, or set GIT_STRATEGY to none", plain(f))}
		}
		ctx, stop := r.scriptContext(ctx, 0)
		defer stop()
		if err := r.hook(ctx, "pre_get_sources_script"); err != nil {
			return err
		}
		err := workspace.GetSources(ctx, workspace.Request{
			Dir:           r.spec.ProjectDir,
			Git:           r.spec.Job.GitInfo,
			AllowGitFetch: r.spec.Job.AllowGitFetch,
			Get:           r.env.get,
			Proxy:         r.spec.Proxy,
			CA:            r.spec.GitCA,
			UserAgent:     "towline-runner/" + r.spec.RunnerVersion,
			Log:           r.log,
		})
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			return err
		}
		return r.hook(ctx, "post_get_sources_script")
	})
}

// hook runs a script of hooks: inside the stage of the sources.
func (r *run) hook(ctx context.Context, name string) error {
	i := slices.IndexFunc(r.spec.Job.Hooks, func(h jobspec.Hook) bool { return h.Name == name })
	if i < 0 || len(r.spec.Job.Hooks[i].Script) == 0 || workspace.Skipped(r.env.get) {
		return nil
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	return r.step(statusRunning, name).run(ctx, r.spec.Job.Hooks[i].Script)
}

// begin announces the first command, once.
func (r *run) begin(ctx context.Context) error {
	if r.began {
		return nil
	}
	r.began = true
	return r.started(ctx)
}

// script runs every step but after_script until one fails.
func (r *run) script(ctx context.Context) error {
	ctx, stop := r.scriptContext(ctx, r.scriptTimeout)
	defer stop()
	if err := r.begin(ctx); err != nil {
		return err
	}
	for _, step := range r.spec.Job.Steps {
		if step.Name == afterScriptName || len(step.Script) == 0 {
			continue
		}
		name := "step_" + sectionName(step.Name)
		header := fmt.Sprintf("Executing %q stage of the job script", name)
		err := r.log.section(name, header, func() error {
			items := step.Script
			if step.Name == releaseName {
				items = r.expanded(items)
			}
			err := r.step(statusRunning, scriptStage).run(ctx, items)
			if errors.Is(err, errCanceled) {
				r.log.warn("script canceled externally (UI, API)")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Names of steps that are treated differently.
const (
	afterScriptName = "after_script"
	releaseName     = "release"
)

// Names that GitLab's runner gives the commands of these steps in sections.
const (
	scriptStage      = "script_step"
	afterScriptStage = "after_script_step"
)

// afterScript runs in a fresh shell whatever became of the script. It returns
// an error only when the job wants it to count.
func (r *run) afterScript(ctx context.Context, scriptErr error) error {
	i := slices.IndexFunc(r.spec.Job.Steps, func(s jobspec.Step) bool { return s.Name == afterScriptName })
	if i < 0 || len(r.spec.Job.Steps[i].Script) == 0 {
		return nil
	}
	ctx, stop := context.WithTimeoutCause(ctx, r.afterTimeout, errScriptTimeout)
	defer stop()
	return r.log.section(afterScriptName, "Running after_script", func() error {
		r.log.info("Running after script...")
		err := r.step(jobStatus(scriptErr), afterScriptStage).run(ctx, r.spec.Job.Steps[i].Script)
		switch {
		case err == nil:
			return nil
		case r.env.get("AFTER_SCRIPT_IGNORE_ERRORS") == "false":
			return err
		}
		r.log.warn("after_script failed, but job will continue unaffected: " + describe(err, r.afterTimeout))
		return nil
	})
}

// step is a shell for the commands of a stage.
func (r *run) step(status, stage string) *step {
	return &step{
		shell: r.shell, env: r.env.shell(status), dir: r.spec.ProjectDir,
		xtrace: r.debug(), sections: r.sectionPrefix(stage),
		stdout: r.stdout, stderr: r.stderr,
	}
}

// scriptContext ends with the job, with its cancellation and after limit.
func (r *run) scriptContext(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(r.canceled, func() { cancel(errCanceled) })
	stop := func() { unhook(); cancel(nil) }
	if limit <= 0 {
		return ctx, stop
	}
	ctx, stopTimer := context.WithTimeoutCause(ctx, limit, errScriptTimeout)
	return ctx, func() { stopTimer(); stop() }
}

// result turns the deciding error into what the supervisor is told.
func (r *run) result(ctx context.Context, err error) Result {
	if cause := context.Cause(ctx); errors.Is(cause, errJobTimeout) {
		err = cause
	}
	var config *configError
	var sources *workspace.Error
	var transfer *artifacts.Error
	code, exited := isExit(err)
	res := Result{State: StateFailed, Message: shorten(describe(err, r.spec.Job.Timeout()))}
	switch {
	case err == nil && r.canceled.Err() == nil:
		return Result{State: StateSuccess}
	case err == nil || errors.Is(err, errCanceled):
		res.FailureReason, res.Message = ReasonCanceled, "canceled"
	case errors.Is(err, errJobTimeout):
		res.FailureReason = ReasonTimeout
	case errors.Is(err, errScriptTimeout):
		res.FailureReason, res.Message = ReasonTimeout, "script exceeded RUNNER_SCRIPT_TIMEOUT"
	case exited:
		res.FailureReason, res.ExitCode = ReasonScript, code
	case errors.As(err, new(unsupportedError)):
		res.FailureReason, res.ExitCode = ReasonSystem, exitUnsupported
	case errors.As(err, &config):
		res.FailureReason = ReasonConfiguration
	case errors.As(err, &sources), errors.As(err, &transfer):
		// GitLab's runner does this work in scripts, so that its failures are
		// failures of a script with exit code 1.
		res.FailureReason, res.ExitCode, res.Message = ReasonScript, exitFailure, (&shell.ExitError{Code: exitFailure}).Error()
	default:
		res.FailureReason = ReasonSystem
	}
	return res
}

// describe is the text of an error in the log.
func describe(err error, limit time.Duration) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errJobTimeout), errors.Is(err, errScriptTimeout):
		return fmt.Sprintf("execution took longer than %s seconds", limit)
	}
	return plain(err.Error())
}

// maxMessage bounds the message of a Result, in bytes.
const maxMessage = 1024

func shorten(s string) string {
	if len(s) > maxMessage {
		return strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return s
}

// jobStatus is the value of CI_JOB_STATUS in after_script.
func jobStatus(scriptErr error) string {
	switch {
	case scriptErr == nil:
		return statusSuccess
	case errors.Is(scriptErr, errCanceled):
		return statusCanceled
	case errors.Is(scriptErr, errScriptTimeout):
		return statusTimedOut
	}
	return statusFailed
}

// sectionName keeps what a section's name may hold.
func sectionName(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.-", c) {
			return c
		}
		return '_'
	}, s)
}

// openTemp confines everything written to the temporary directory to it.
func openTemp(spec *Spec) (*os.Root, error) {
	root, err := os.OpenRoot(spec.TempDir)
	if err != nil {
		return nil, fmt.Errorf("temporary directory: %w", err)
	}
	return root, nil
}
