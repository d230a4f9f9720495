package conformance

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
)

// add puts variables at the end of the payload's list.
func add(vars ...object) func(object) {
	return func(p object) { p["variables"] = append(p["variables"].([]object), vars...) }
}

func masked(key, value string) object {
	return object{"key": key, "value": value, "public": false, "masked": true, "raw": true}
}

// both applies several changes.
func both(all ...func(object)) func(object) {
	return func(p object) {
		for _, f := range all {
			f(p)
		}
	}
}

func variableCases() []execCase {
	return []execCase{
		{
			name: "given duplicate keys, references and raw values when they are expanded then it is once and against the unexpanded list",
			mutate: add(object{"key": "DUP", "value": "first", "public": true, "masked": false}, object{"key": "DUP", "value": "second", "public": true, "masked": false},
				object{"key": "REF", "value": "x-$DUP-${NOPE}", "public": true, "masked": false}, object{"key": "RAW", "value": "x-$DUP", "public": true, "masked": false, "raw": true}),
			yaml: "script: ['echo \"[$DUP] [$REF] [$RAW]\"']", has: []string{"[second] [x-second-] [x-$DUP]"},
		},
		{
			name:   "given dollar signs in values when they are expanded then $$ is one and special parameters are empty",
			mutate: add(object{"key": "D", "value": "a$$b$*c$1d$/x", "public": true, "masked": false}),
			yaml:   "script: ['echo \"[$D]\"']", has: []string{"[a$bcd$/x]"},
		},
		{
			name:   "given a value that refers to a value when it is expanded then not the other's references",
			mutate: add(object{"key": "C", "value": "c", "public": true, "masked": false}, object{"key": "B", "value": "$C", "public": true, "masked": false}, object{"key": "A", "value": "$B", "public": true, "masked": false}),
			yaml:   "script: ['echo \"[$A]\"']", has: []string{"[$C]"},
		},
		{
			of: []int{87}, name: "given a reference to a file variable when it is expanded then it is its path, whose content is as it was",
			mutate: add(object{"key": "CERT", "value": "two\nlines\n", "public": false, "masked": false, "file": true}, object{"key": "REF", "value": "$CERT", "public": true, "masked": false}),
			yaml:   "script: ['[ \"$REF\" = \"$CERT\" ] && echo same', '{ read -r a; read -r b; } < $CERT; echo \"$a+$b\"']", has: []string{"same", "two+lines"},
		},
		{
			name: "given keys that no shell can hold when the job runs then nothing breaks", mutate: add(object{"key": "a-b.c", "value": "x", "public": true, "masked": false}),
			yaml: "script: [echo fine]", has: []string{"fine"},
		},
		{
			name: "given variables that the runner sets last when the job sets them too then the runner's count",
			yaml: "variables:\n  CI_DISPOSABLE_ENVIRONMENT: \"no\"\n  CI_RUNNER_VERSION: mine\nscript: ['echo \"[$CI_DISPOSABLE_ENVIRONMENT]\"', '[ $CI_RUNNER_VERSION != mine ] && echo real']", has: []string{"[true]", "real"},
		},
		{
			name: "given variables that the runner sets first when the job sets them too then the job's count",
			yaml: "variables:\n  CI_CONCURRENT_ID: \"7\"\nscript: ['echo \"[$CI_CONCURRENT_ID] [$CI_SERVER]\"']", has: []string{"[7] [yes]"},
		},
		{
			name: "given an image when the job runs then its name is in CI_JOB_IMAGE and a line says that it is not used",
			yaml: "image: alpine:3\nscript: ['echo \"[$CI_JOB_IMAGE]\"']", has: []string{"[alpine:3]", "The image alpine:3 is not used: commands run in the runner's own process"},
		},
		{
			name: "given a CI_JOB_STATUS of the author's when the script runs then the runner's counts",
			yaml: "variables:\n  CI_JOB_STATUS: mine\nscript: ['echo \"[$CI_JOB_STATUS]\"']", has: []string{"[running]"},
		},
	}
}

func payloadCases() []execCase {
	policy := func(more object) func(object) {
		return func(p object) {
			o := object{"execution_policy_job": true, "policy_name": "Security"}
			for k, v := range more {
				o[k] = v
			}
			p["policy_options"] = o
		}
	}
	steps := func(p object) { p["run"] = `[{"name":"hello","script":"echo hello"}]` }
	return []execCase{
		{
			of: []int{82}, name: "given run and script together when the job starts then it fails with GitLab's text and code 3", mutate: steps,
			yaml: "script: [echo never]", status: sim.Failed, reason: "runner_system_failure", exit: 3, has: []string{"the `run` and `script` keywords cannot be used together"}, lacks: []string{"Preparing"},
		},
		{
			name: "given run with the variable STEPS when the job starts then it fails with GitLab's text", mutate: both(steps, noSteps),
			yaml: "variables:\n  STEPS: x\nscript: [echo never]", status: sim.Failed, reason: "runner_system_failure", exit: 3, has: []string{"the `run` keyword requires the exclusive use of the variable STEPS"},
		},
		{
			name: "given run alone when the job starts then it fails with a line that says what to do", mutate: both(steps, noSteps),
			yaml: "script: [echo never]", status: sim.Failed, reason: "runner_system_failure", exit: 3, has: []string{"this runner does not support run: (CI steps): use script: instead"},
		},
		{
			of: []int{83}, name: "given executor_opts that nobody knows when the job starts then it fails with code 3", mutate: func(p object) { p["image"].(object)["executor_opts"] = object{"docker": object{"colour": "red"}} },
			yaml: "image: alpine:3\nscript: [echo never]", status: sim.Failed, reason: "runner_system_failure", exit: 3, has: []string{`unsupported executor_opts of image "alpine:3": docker.colour`}, lacks: []string{"\nnever\n"},
		},
		{
			name: "given executor_opts that GitLab defines when the job runs then they do no harm", mutate: func(p object) {
				p["image"].(object)["executor_opts"] = object{"docker": object{"platform": "arm64", "user": "1000"}, "kubernetes": object{"user": 1000}}
			},
			yaml: "image: alpine:3\nscript: [echo fine]", has: []string{"fine"},
		},
		{
			name: "given services when the job starts then it is refused", yaml: "services: [redis:8]\nscript: [echo never]", status: sim.Failed, reason: "runner_configuration_error",
			has: []string{"ERROR: Job failed: this runner has no services: remove services: from the job or give it to another runner"},
		},
		{
			name: "given secrets of a store when the job runs then each is said not to be resolved and the job goes on", mutate: func(p object) { p["secrets"] = object{"DB": object{"vault": object{}}} },
			yaml: "script: ['echo \"[$DB]\"']", has: []string{"Resolving secrets", `Resolving secret "DB"...`, "WARNING: Not resolved: no resolver that can handle the secret", "[]"},
		},
		{
			name: "given a job of a policy when it runs then the log says so and whose variables count", mutate: policy(nil),
			yaml: "script: [\"true\"]", has: []string{`Job triggered by policy "Security".`, "Variables defined in the policy take precedence over matching user-defined CI/CD variables for this job."},
		},
		{
			name: "given a policy that allows variables with exceptions when the job runs then the log names them", mutate: policy(object{"policy_variables_override_allowed": true, "policy_variables_override_exceptions": []string{"A", "B"}}),
			yaml: "script: [\"true\"]", has: []string{"User-defined CI/CD variables are allowed in this job (except for A, B) according to the pipeline execution policy."},
		},
		{
			name: "given a policy that forbids variables when the job runs then the log says so", mutate: policy(object{"policy_variables_override_allowed": false}),
			yaml: "script: [\"true\"]", has: []string{"User-defined CI/CD variables are ignored in this job according to the pipeline execution policy."},
		},
		{
			name: "given a GitLab without sections when the job runs then no marker is written", mutate: func(p object) { p["features"].(object)["trace_sections"] = false },
			yaml: "script: [echo fine]", has: []string{"fine", `Executing "step_script" stage of the job script`},
			check: func(t *testing.T, raw string, _ sim.Job) {
				if strings.Contains(raw, "section_") {
					t.Error("there are section markers")
				}
			},
		},
	}
}

func noSteps(p object) { p["steps"] = []object{} }

func logCases() []execCase {
	unstamped := "variables:\n  FF_TIMESTAMPS: \"false\"\n"
	return []execCase{
		{
			name: "given a job that says nothing of it when its log is written then every line has a timestamp", yaml: "script: [echo out, echo err >&2]",
			check: func(t *testing.T, raw string, _ sim.Job) {
				if !joblog.Parse([]byte(raw)).Timestamps || !strings.Contains(raw, "Z 01O out\n") || !strings.Contains(raw, "Z 01E err\n") || !strings.Contains(raw, "Z 00O ") {
					t.Error("streams are missing")
				}
				for line := range strings.Lines(raw) {
					if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z 0[01][OE][ +]`).MatchString(line) {
						t.Errorf("line %q", line)
					}
				}
			},
		},
		{
			name: "given FF_TIMESTAMPS=false when the log is written then no line has one", yaml: unstamped + "script: [echo out]", has: []string{"out", "  feature flags: FF_TIMESTAMPS:false"},
			check: func(t *testing.T, raw string, _ sim.Job) {
				if joblog.Parse([]byte(raw)).Timestamps || !strings.HasSuffix(raw, "\x1b[0K\x1b[32;1mJob succeeded\x1b[0;m\n") {
					t.Errorf("raw %q", raw)
				}
			},
		},
		{
			name: "given a section when its marker is written then it is a line of its own, which the header continues", yaml: "script: [\"true\"]",
			check: func(t *testing.T, raw string, _ sim.Job) {
				if !regexp.MustCompile(`00O[ +]section_start:\d+:step_script\r\x1b\[0K\n\S+ 00O\+\x1b\[0K\x1b\[36;1mExecuting "step_script" stage of the job script\x1b\[0;m\x1b\[0;m\n`).MatchString(raw) {
					t.Error("not as GitLab's runner writes it")
				}
			},
		},
		{
			name: "given a progress bar when it moves then each step is a line that the next continues", yaml: "script:\n  - printf '10%%\\r'; printf '20%%\\r'; echo done",
			check: func(t *testing.T, raw string, _ sim.Job) {
				if !regexp.MustCompile(`01O 10%\r\n\S+ 01O\+20%\r\n\S+ 01O\+done\n`).MatchString(raw) {
					t.Error("not as GitLab's runner writes it")
				}
			},
		},
		{
			name: "given output without an end of line when the script ends then the section's end is not glued to it", yaml: "script: [printf unfinished]",
			check: func(t *testing.T, raw string, _ sim.Job) {
				if !regexp.MustCompile(`01O unfinished\n\S+ 00O[ +]section_end:\d+:step_script\r\x1b\[0K\n`).MatchString(raw) {
					t.Error("not as GitLab's runner writes it")
				}
			},
		},
		{
			name: "given bytes that are not UTF-8 when they are printed then they are replaced", yaml: "script:\n  - printf 'a\\377b\\n'", has: []string{"a\uFFFDb"},
			check: func(t *testing.T, raw string, _ sim.Job) {
				if !utf8.ValidString(raw) {
					t.Error("the log is not UTF-8")
				}
			},
		},
		{
			name: "given FF_SCRIPT_SECTIONS when a command has several lines then it is a collapsed section of the script's",
			yaml: "variables:\n  FF_SCRIPT_SECTIONS: \"true\"\nscript:\n  - echo one\n  - |\n    echo two\n    echo three\n",
			has:  []string{"  feature flags: FF_SCRIPT_SECTIONS:true", "$ echo two", "echo three", "two", "three"}, lacks: []string{"# collapsed"},
			check: func(t *testing.T, raw string, _ sim.Job) {
				for _, s := range joblog.Parse([]byte(raw)).Sections {
					if s.Name == "step_script" && (len(s.Sections) != 1 || s.Sections[0].Name != "section_script_step_1" || !s.Sections[0].Collapsed || !s.Sections[0].HideDuration) {
						t.Errorf("the script has the sections %+v", s.Sections)
					}
				}
				if !strings.Contains(raw, ":section_script_step_1[hide_duration=true,collapsed=true]\r\x1b[0K\x1b[32;1m$ echo two\n") {
					t.Error("not as GitLab's runner writes it")
				}
			},
		},
		{
			of: []int{43}, name: "given a log beyond the limit when it is written then the notice is appended once and the job succeeds",
			yaml: "script:\n  - x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10; do x=$x$x; done; for i in {1..20}; do echo $x; done\nafter_script: [echo unseen]",
			check: func(t *testing.T, raw string, j sim.Job) {
				const notice = "\n\x1b[33;1mJob's log exceeded limit of 200000 bytes.\nJob execution will continue but no more output will be collected.\x1b[0;m\n"
				if strings.Count(raw, notice) != 1 || !strings.HasSuffix(raw, notice) || len(raw) > 200000+len(notice) || !j.Checksum.Equal || strings.Contains(raw, "unseen") {
					t.Errorf("%d bytes, %+v", len(raw), j.Checksum)
				}
			},
			lacks: []string{"unseen"}, cut: true,
		},
		{
			of: []int{93}, name: "given addresses with secrets in them when they are printed then the values are masked",
			yaml: "script:\n  - echo 'https://x/?private_token=first-secret&a=1&X-Amz-Signature=second-secret'\n", has: []string{"https://x/?private_token=[MASKED]&a=1&X-Amz-Signature=[MASKED]"}, lacks: []string{"first-secret", "second-secret"},
		},
		{
			of: []int{94}, name: "given a masked value when it is echoed and printed then both are masked", mutate: add(masked("PASSWORD", "hunter-two-secret")),
			yaml: "script: ['echo hunter-two-secret \"$PASSWORD\"']", has: []string{"[MASKED] [MASKED]"}, lacks: []string{"hunter-two-secret"},
		},
		{
			name: "given a masked value when it is printed in pieces then it is masked", mutate: add(masked("PASSWORD", "hunter-two-secret")),
			yaml: "script: ['printf hunter-; printf two-; echo secret']", has: []string{"[MASKED]"}, lacks: []string{"hunter-two-secret"},
		},
		{
			name: "given two masked values of which one begins the other when the longer is printed then it is masked whole", mutate: add(masked("A", "hunter-two"), masked("B", "hunter-two-secret")),
			yaml: "script: ['echo \"$B\" \"$A\"']", has: []string{"[MASKED] [MASKED]"}, lacks: []string{"-secret"},
		},
		{
			name: "given a masked value that another of its name hides when it is printed then it is masked", mutate: add(masked("P", "shadowed-value"), masked("P", "second-value-x")),
			yaml: "script: ['echo shadowed-value \"$P\"']", has: []string{"[MASKED] [MASKED]"}, lacks: []string{"shadowed-value"},
		},
		{
			name: "given a masked value of several lines when one of them is printed then it is masked", mutate: add(masked("KEY", "first-line-of-key\nsecond-line-of-key")),
			yaml: "script: ['echo \"and second-line-of-key\"']", has: []string{"and [MASKED]"}, lacks: []string{"second-line-of-key"},
		},
		{
			name: "given a masked value that refers to another when it is printed then what it became is masked", mutate: add(object{"key": "X", "value": "expanded-part", "public": true, "masked": false}, object{"key": "Y", "value": "has-$X", "public": false, "masked": true}),
			yaml: "script: ['echo \"$Y\"']", has: []string{"[MASKED]"}, lacks: []string{"has-expanded"},
		},
		{
			name: "given the job token when it is printed then it is masked", yaml: "script: ['echo \"token=$CI_JOB_TOKEN\"']", has: []string{"token=[MASKED]"},
		},
		{
			name: "given tokens with GitLab's prefixes when they are printed then the prefix stays and the rest is masked",
			yaml: "script: [echo glpat-abc_def gldt-1.2=3 xglft-9]", has: []string{"glpat-[MASKED] gldt-[MASKED] xglft-[MASKED]"},
		},
		{
			name: "given token prefixes of this GitLab when a token is printed then it is masked", mutate: func(p object) { p["features"].(object)["token_mask_prefixes"] = []string{"acme-"} },
			yaml: "script: [echo acme-of-this-gitlab]", has: []string{"acme-[MASKED]"}, lacks: []string{"of-this-gitlab"},
		},
		{
			name: "given CI_DEBUG_TRACE when the script runs then its commands are shown, masked, and GitLab is told", mutate: add(masked("PASSWORD", "hunter-two-secret")),
			yaml: "variables:\n  CI_DEBUG_TRACE: \"true\"\nscript: ['echo \"$PASSWORD\"']", lacks: []string{"hunter-two-secret"},
			check: func(t *testing.T, raw string, j sim.Job) {
				if !j.Debug || !strings.Contains(raw, "01E + echo [MASKED]") {
					t.Errorf("debug %t", j.Debug)
				}
			},
		},
		{
			name: "given a job when its log begins and ends then the lines are those that GitLab's users know", yaml: "script: [\"true\"]",
			has: []string{"Preparing the \"towline\" executor", "Preparing environment", "Getting source from Git repository", "Cleaning up project directory and file based variables", "Job succeeded"},
		},
	}
}
