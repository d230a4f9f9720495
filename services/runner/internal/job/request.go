package job

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/towline/towline/pkg/jobspec"
)

// exitUnsupported is the exit code of a job that asks for what this runner cannot
// do (runner-api sheet, section 11).
const exitUnsupported = 3

// unsupportedError is a job that asks for what this runner cannot do.
type unsupportedError struct{ error }

// unsupported says what of a job's definition this runner cannot do, or nil. It
// has GitLab's runner's own words where that refuses the same.
func unsupported(j *jobspec.Job) error {
	var errs []error
	if j.Run != nil && strings.TrimSpace(*j.Run) != "" && strings.TrimSpace(*j.Run) != "[]" {
		errs = append(errs, unsupportedSteps(j))
	}
	if j.Image != nil {
		errs = append(errs, unsupportedOptions("image", j.Image))
	}
	for i := range j.Services {
		errs = append(errs, unsupportedOptions("service", &j.Services[i]))
	}
	if err := errors.Join(errs...); err != nil {
		return unsupportedError{err}
	}
	return nil
}

func unsupportedSteps(j *jobspec.Job) error {
	switch {
	case slices.ContainsFunc(j.Steps, func(s jobspec.Step) bool { return len(s.Script) > 0 }):
		return errors.New("the `run` and `script` keywords cannot be used together")
	case j.Variables.Get("STEPS") != "":
		return errors.New("the `run` keyword requires the exclusive use of the variable STEPS")
	}
	return errors.New("this runner does not support run: (CI steps): use script: instead")
}

// executorOptions are those that GitLab defines. They are about containers, and
// of no consequence here; others would be somebody's mistake.
var executorOptions = map[string][]string{"docker": {"platform", "user"}, "kubernetes": {"user"}}

func unsupportedOptions(what string, i *jobspec.Image) error {
	var bad []string
	for _, executor := range slices.Sorted(maps.Keys(i.ExecutorOpts)) {
		known, ok := executorOptions[executor]
		if !ok {
			bad = append(bad, executor)
			continue
		}
		for _, option := range slices.Sorted(maps.Keys(i.ExecutorOpts[executor])) {
			if !slices.Contains(known, option) {
				bad = append(bad, executor+"."+option)
			}
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("unsupported executor_opts of %s %q: %s", what, plain(i.Name), plain(strings.Join(bad, ", ")))
}

// refuseUnsupported says in the log what cannot be done.
func (r *run) refuseUnsupported() error {
	err := unsupported(&r.spec.Job)
	if err != nil {
		r.log.raw(err.Error())
	}
	return err
}

// resolveSecrets says of which variables nothing will come: this runner asks no
// other store (section 14).
func (r *run) resolveSecrets() {
	if len(r.spec.Job.Secrets) == 0 {
		return
	}
	_ = r.log.section("resolve_secrets", "Resolving secrets", func() error {
		for _, key := range slices.Sorted(maps.Keys(r.spec.Job.Secrets)) {
			r.log.println(fmt.Sprintf("Resolving secret %q...", plain(key)))
			r.log.warn("Not resolved: no resolver that can handle the secret")
		}
		return nil
	})
}

// printPolicy says which policy of GitLab's made the job, and whose variables
// count.
func (r *run) printPolicy() {
	p := r.spec.Job.PolicyOptions
	if p == nil || !p.ExecutionPolicyJob {
		return
	}
	r.log.info(fmt.Sprintf("Job triggered by policy %q.", plain(p.PolicyName)))
	if p.OverrideAllowed == nil {
		r.log.info("Variables defined in the policy take precedence over matching user-defined CI/CD variables for this job.")
		return
	}
	verb := "ignored"
	if *p.OverrideAllowed {
		verb = "allowed"
	}
	except := ""
	if p.Exceptions != nil {
		except = fmt.Sprintf(" (except for %s)", plain(strings.Join(p.Exceptions, ", ")))
	}
	r.log.info("User-defined CI/CD variables are " + verb + " in this job" + except + " according to the pipeline execution policy.")
}

// debug says whether the script's commands are shown as they run. The operator's
// word counts more than the job's.
func (r *run) debug() bool { return r.env.vars.Bool("CI_DEBUG_TRACE") && !r.spec.NoDebugTrace }

// printDebug says that a wish for a debug trace is not granted.
func (r *run) printDebug() {
	if r.spec.NoDebugTrace && r.env.vars.Bool("CI_DEBUG_TRACE") {
		r.log.warn("CI_DEBUG_TRACE: usage is disabled on this Runner")
	}
}
