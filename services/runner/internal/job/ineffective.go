package job

import (
	"fmt"
	"slices"
	"strings"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/workspace"
)

// Options of Git that leave the files of a fresh checkout as they are.
var (
	idleFetchOptions = strings.Fields(`-p --prune -P --prune-tags -q --quiet -v --verbose --progress --no-progress -f --force -j --jobs -n --no-tags
		-u --update-head-ok -4 --ipv4 -6 --ipv6 --atomic --filter --no-recurse-submodules --no-write-fetch-head --no-auto-gc --no-auto-maintenance
		--show-forced-updates --no-show-forced-updates`)
	idleSubmoduleOptions = strings.Fields(`-q --quiet --progress --init -f --force --checkout -j --jobs --filter --recommend-shallow --no-recommend-shallow
		--single-branch --no-single-branch`)
)

// printIneffective says which wishes of the job's variables are not granted, as
// far as the job would notice.
func (r *run) printIneffective() {
	if r.env.vars.Bool("RUNNER_GENERATE_ARTIFACTS_METADATA") && len(r.spec.Job.Artifacts) > 0 {
		r.log.warn("RUNNER_GENERATE_ARTIFACTS_METADATA has no effect: this runner adds no provenance statement to artifacts")
	}
	if workspace.Skipped(r.env.get) {
		return
	}
	hooked := slices.ContainsFunc(r.spec.Job.Hooks, func(h jobspec.Hook) bool { return h.Name == "pre_get_sources_script" && len(h.Script) > 0 })
	if flags := r.env.get("GIT_CLEAN_FLAGS"); hooked && flags != "" && flags != "none" {
		r.log.warn("GIT_CLEAN_FLAGS has no effect: what pre_get_sources_script has made stays")
	}
	r.printIdle("GIT_FETCH_EXTRA_FLAGS", idleFetchOptions)
	if s := r.env.get("GIT_SUBMODULE_STRATEGY"); s != "" && s != "none" {
		r.printIdle("GIT_SUBMODULE_UPDATE_FLAGS", idleSubmoduleOptions)
	}
}

// printIdle names the options that would have an effect elsewhere.
func (r *run) printIdle(name string, idle []string) {
	var missed []string
	for _, word := range strings.Fields(r.env.get(name)) {
		option, _, _ := strings.Cut(word, "=")
		count := strings.Trim(strings.TrimPrefix(word, "-j"), "0123456789") == "" // of -j 4 or -j4
		if !count && !slices.Contains(idle, option) {
			missed = append(missed, word)
		}
	}
	if len(missed) > 0 {
		r.log.warn(fmt.Sprintf("%s: no effect of %s: this runner fetches by itself", name, plain(strings.Join(missed, " "))))
	}
}
