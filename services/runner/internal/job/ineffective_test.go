package job

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/jobspec"
)

func TestWishesThatAreNotGrantedAreNamedOnce(t *testing.T) {
	const metadata = "RUNNER_GENERATE_ARTIFACTS_METADATA has no effect: this runner adds no provenance statement to artifacts"
	set := func(key, value string) jobspec.Variable { return jobspec.Variable{Key: key, Value: value} }
	fetch, submodules, clean := "GIT_FETCH_EXTRA_FLAGS", "GIT_SUBMODULE_UPDATE_FLAGS", "GIT_CLEAN_FLAGS"
	normal := set("GIT_SUBMODULE_STRATEGY", "normal")
	hook := []jobspec.Hook{{Name: "pre_get_sources_script", Script: []string{"true"}}}
	for name, c := range map[string]struct {
		variables []jobspec.Variable
		artifacts []jobspec.Artifact
		hooks     []jobspec.Hook
		want      []string
	}{
		"nothing":                    {nil, []jobspec.Artifact{{}}, hook, nil},
		"metadata":                   {[]jobspec.Variable{set("RUNNER_GENERATE_ARTIFACTS_METADATA", "true")}, []jobspec.Artifact{{}, {}}, nil, []string{metadata}},
		"metadata of nothing":        {[]jobspec.Variable{set("RUNNER_GENERATE_ARTIFACTS_METADATA", "true")}, nil, nil, nil},
		"no metadata":                {[]jobspec.Variable{set("RUNNER_GENERATE_ARTIFACTS_METADATA", "false")}, []jobspec.Artifact{{}}, nil, nil},
		"idle options":               {[]jobspec.Variable{set(fetch, "--prune --quiet --no-tags -j4 --jobs 8 --filter=blob:none"), set(clean, "-ffdx -e cache/")}, nil, nil, nil},
		"tags":                       {[]jobspec.Variable{set(fetch, "--prune --tags\n--depth=5")}, nil, nil, []string{"GIT_FETCH_EXTRA_FLAGS: no effect of --tags --depth=5: this runner fetches by itself"}},
		"no checkout at all":         {[]jobspec.Variable{set(fetch, "--tags"), set("GIT_STRATEGY", "none")}, nil, hook, nil},
		"cleaning with a hook":       {[]jobspec.Variable{set(clean, "-ffdx -e cache/")}, nil, hook, []string{"GIT_CLEAN_FLAGS has no effect: what pre_get_sources_script has made stays"}},
		"no cleaning with a hook":    {[]jobspec.Variable{set(clean, "none")}, nil, hook, nil},
		"the submodules' branches":   {[]jobspec.Variable{set(submodules, "--remote --jobs 4"), normal}, nil, nil, []string{"GIT_SUBMODULE_UPDATE_FLAGS: no effect of --remote: this runner fetches by itself"}},
		"submodules faster":          {[]jobspec.Variable{set(submodules, "--jobs 4 --quiet"), normal}, nil, nil, nil},
		"no submodules":              {[]jobspec.Variable{set(submodules, "--remote")}, nil, nil, nil},
		"submodules that are unused": {[]jobspec.Variable{set(submodules, "--remote"), set("GIT_SUBMODULE_STRATEGY", "none")}, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			spec := testSpec(t, "true")
			spec.Job.Variables, spec.Job.Artifacts, spec.Job.Hooks = c.variables, c.artifacts, c.hooks
			var out strings.Builder
			r := &run{spec: spec, env: newEnvironment(spec, nil), log: &logger{w: &out}}
			r.printIneffective()
			var got []string
			for line := range strings.Lines(out.String()) {
				_, text, _ := strings.Cut(line, "WARNING: ")
				got = append(got, strings.TrimSuffix(text, "\x1b[0;m\n"))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
