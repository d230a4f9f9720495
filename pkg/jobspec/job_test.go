package jobspec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/jobspec"
)

func sample(tb testing.TB) []byte {
	tb.Helper()
	b, err := os.ReadFile("testdata/job.json")
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func ptr[T any](v T) *T { return &v }

func TestDecodeReadsTheWholeSample(t *testing.T) {
	got, err := jobspec.Decode(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	const token = "glcbt-64_h7XxQ2mT9bYw4kLpZsVd"
	if n := len(got.Variables); n != 18 {
		t.Errorf("%d variables, want 18", n)
	}
	for key, want := range map[string]jobspec.Variable{
		"CI_JOB_TOKEN": {Key: "CI_JOB_TOKEN", Value: token, Masked: true},
		"REPLICAS":     {Key: "REPLICAS", Value: "3", Public: true},
		"KUBECONFIG":   {Key: "KUBECONFIG", Value: "---\napiVersion: v1\n...", File: true},
		"DB_PASSWORD":  {Key: "DB_PASSWORD", Value: "p$w0rd", Masked: true, Raw: true},
	} {
		for _, v := range got.Variables {
			if v.Key == key {
				if diff := cmp.Diff(want, v); diff != "" {
					t.Error(diff)
				}
			}
		}
		if got.Variables.Get(key) != want.Value {
			t.Errorf("%s = %q, want %q", key, got.Variables.Get(key), want.Value)
		}
	}
	got.Variables = nil
	want := &jobspec.Job{
		ID: 1001, Token: token, AllowGitFetch: true,
		JobInfo: jobspec.JobInfo{
			Name: "deploy:prod", Stage: "deploy", PipelineID: 574, ProjectID: 20, ProjectName: "hello-world",
			ProjectFullPath: "acme/apps/hello-world", NamespaceID: 72, RootNamespaceID: 70, OrganizationID: 1, UserID: 3,
		},
		GitInfo: jobspec.GitInfo{
			RepoURL:          "https://gitlab-ci-token:" + token + "@gitlab.example.com/acme/apps/hello-world.git",
			RepoObjectFormat: "sha1", Ref: "main", SHA: "714a629c0b401fdce83e847fc9589983fc6f46bc",
			BeforeSHA: strings.Repeat("0", 40), RefType: "branch", Depth: 20, Protected: ptr(true),
			Refspecs: []string{"+refs/pipelines/574:refs/pipelines/574", "+refs/heads/main:refs/remotes/origin/main"},
		},
		RunnerInfo: jobspec.RunnerInfo{Timeout: 3600},
		Steps: []jobspec.Step{
			{Name: "script", Script: []string{"echo hi", "kubectl apply -f k8s/"}},
			{Name: "after_script", Script: []string{"echo $CI_JOB_STATUS"}},
		},
		Hooks:    []jobspec.Hook{{Name: "pre_get_sources_script", Script: []string{"echo pre"}}},
		Image:    &jobspec.Image{Name: "registry.example.com/kubectl:1.34", ExecutorOpts: map[string]map[string]json.RawMessage{}},
		Services: []jobspec.Image{{Name: "postgres:16", Alias: "db", ExecutorOpts: map[string]map[string]json.RawMessage{}}},
		Artifacts: []jobspec.Artifact{
			{
				Name: "$CI_JOB_NAME", Paths: []string{"out/"}, Exclude: []string{"out/**/*.log"}, When: "on_success",
				ExpireIn: "1 week", ArtifactType: "archive", Format: "zip",
			},
			{Name: "dotenv.env", Paths: []string{"build.env"}, When: "always", ExpireIn: "1 week", ArtifactType: "dotenv", Format: "gzip"},
		},
		Cache: []jobspec.Cache{{Key: "main-protected", Paths: []string{"vendor/"}, Policy: "pull-push", When: "on_success", FallbackKeys: []string{}}},
		Dependencies: []jobspec.Dependency{
			{ID: 998, Name: "build", Token: "glcbt-...", ArtifactsFile: &jobspec.DependencyUpload{Filename: "artifacts.zip", Size: 24871}},
		},
		Features: jobspec.Features{
			TraceSections: true, TokenMaskPrefixes: []string{},
			FailureReasons: []string{"unknown_failure", "script_failure", "runner_system_failure", "..."},
		},
		PolicyOptions: &jobspec.Policy{},
		Secrets:       map[string]json.RawMessage{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Timeout() != time.Hour {
		t.Errorf("Timeout = %s, want 1h", got.Timeout())
	}
}

// TestDecodeTakesNullAnywhere replaces each value of the sample by null, one
// after the other; only the job's id and token may not be missing.
func TestDecodeTakesNullAnywhere(t *testing.T) {
	var root any
	if err := json.Unmarshal(sample(t), &root); err != nil {
		t.Fatal(err)
	}
	tried := 0
	var walk func(path string, v any, set func(any))
	walk = func(path string, v any, set func(any)) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				walk(path+"."+k, e, func(x any) { v[k] = x })
			}
		case []any:
			for i, e := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), e, func(x any) { v[i] = x })
			}
		}
		if path == "" {
			return
		}
		set(nil)
		payload, err := json.Marshal(root)
		set(v)
		if err != nil {
			t.Fatal(err)
		}
		tried++
		_, err = jobspec.Decode(payload)
		if needed := path == ".id" || path == ".token"; (err != nil) != needed {
			t.Errorf("%s = null: error = %v", path, err)
		}
	}
	walk("", root, nil)
	if tried < 100 {
		t.Errorf("only %d places tried", tried)
	}
}

func TestDecodeTakesAJobThatIsBarelyOne(t *testing.T) {
	for name, payload := range map[string]string{
		"nothing but what is needed": `{"id":1,"token":"t"}`,
		"unknown keys":               `{"id":1,"token":"t","suspend_options":{"x":[1]},"new":null}`,
		"empty lists":                `{"id":1,"token":"t","variables":[],"steps":[],"services":[],"artifacts":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			j, err := jobspec.Decode([]byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			if j.Variables.Get("X") != "" || j.Image != nil || j.GitInfo.Protected != nil || j.Timeout() != jobspec.DefaultTimeout {
				t.Errorf("decoded as %+v", j)
			}
		})
	}
}

func TestDecodeKeepsAVeryLongToken(t *testing.T) {
	token := "glcbt-" + strings.Repeat("eyJ", 4000)
	j, err := jobspec.Decode(fmt.Appendf(nil, `{"id":1,"token":%q,"run":"[{}]"}`, token))
	if err != nil || j.Token != token || j.Run == nil || *j.Run != "[{}]" {
		t.Errorf("error %v", err)
	}
}

func TestDecodeSaysWhatIsWrongWithoutTheValue(t *testing.T) {
	const secret = "hunter2"
	tests := map[string]struct{ payload, want string }{
		"empty":                      {``, "job payload: not valid JSON at byte 0"},
		"not JSON":                   {secret, "job payload: not valid JSON at byte 1"},
		"cut off":                    {`{"id":1,"token":"` + secret, "job payload: not valid JSON at byte 24"},
		"secret behind a bad escape": {`{"token":"\` + secret + `"}`, "job payload: not valid JSON at byte 12"},
		"two documents":              {`{"id":1,"token":"t"}` + secret, "job payload: not valid JSON at byte 21"},
		"a list":                     {`["` + secret + `"]`, "job payload: not a JSON object"},
		"a text":                     {`"` + secret + `"`, "job payload: not a JSON object"},
		"id of the wrong type":       {`{"id":"` + secret + `","token":"t"}`, "job payload: field id: want int64"},
		"number for a text":          {`{"id":1,"token":20202020}`, "job payload: field token: want string"},
		"nested field":               {`{"id":1,"token":"t","variables":[{"key":"A","value":20202020}]}`, "job payload: field variables.value: want string"},
		"number that does not fit":   {`{"id":99999999999999999999,"token":"t"}`, "job payload: field id: want int64"},
		"no id":                      {`{"token":"` + secret + `"}`, "job payload: id is missing"},
		"id zero":                    {`{"id":0,"token":"` + secret + `"}`, "job payload: id is missing"},
		"negative id":                {`{"id":-1,"token":"` + secret + `"}`, "job payload: id is missing"},
		"no token":                   {`{"id":1,"job_info":{"name":"` + secret + `"}}`, "job payload: token is missing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := jobspec.Decode([]byte(tt.payload))
			if err == nil {
				t.Fatal("no error")
			}
			if err.Error() != tt.want {
				t.Errorf("error = %q, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "20202020") {
				t.Errorf("the error repeats the payload: %v", err)
			}
		})
	}
}

func TestDecodeLimits(t *testing.T) {
	variables := func(n int) []byte {
		return []byte(`{"id":1,"token":"t","variables":[` + strings.TrimSuffix(strings.Repeat(`{"key":"A"},`, n), ",") + `]}`)
	}
	lines := func(n int) []byte {
		half := strings.TrimSuffix(strings.Repeat(`"",`, n/2), ",")
		return fmt.Appendf(nil, `{"id":1,"token":"t","steps":[{"script":[%s]},{"script":[%s]}]}`, half, half)
	}
	sized := func(n int) []byte {
		b := []byte(`{"id":1,"token":"t"}`)
		return append(b, bytes.Repeat([]byte(" "), n-len(b))...)
	}
	tests := map[string]struct {
		payload []byte
		want    string
	}{
		"largest payload":        {sized(jobspec.MaxPayload), ""},
		"payload too large":      {sized(jobspec.MaxPayload + 1), "job payload of 8388609 bytes is over the limit of 8388608 bytes"},
		"most variables":         {variables(jobspec.MaxVariables), ""},
		"too many variables":     {variables(jobspec.MaxVariables + 1), "job payload: 10001 variables are over the limit of 10000"},
		"most lines":             {lines(jobspec.MaxScriptLines), ""},
		"too many lines, in all": {lines(jobspec.MaxScriptLines + 2), "job payload: 50002 script lines are over the limit of 50000"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if _, err := jobspec.Decode(tt.payload); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("error = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	for seconds, want := range map[int64]time.Duration{
		1: time.Second, 3600: time.Hour, 30 * 86400: 720 * time.Hour,
		0: jobspec.DefaultTimeout, -5: jobspec.DefaultTimeout, 1 << 62: jobspec.DefaultTimeout,
	} {
		j := jobspec.Job{RunnerInfo: jobspec.RunnerInfo{Timeout: seconds}}
		if got := j.Timeout(); got != want {
			t.Errorf("timeout %d = %s, want %s", seconds, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sample(f))
	f.Add([]byte(`{"id":1,"token":"t","steps":[null],"variables":[null],"image":{}}`))
	f.Add([]byte(`{"id":1e3,"token":"t"}`))
	f.Add([]byte(`[[[[[[`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		j, err := jobspec.Decode(payload)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00\"") || len(err.Error()) > 200 {
				t.Errorf("error %q may quote the payload", err)
			}
			return
		}
		if j.ID <= 0 || j.Token == "" || len(j.Variables) > jobspec.MaxVariables || j.Timeout() <= 0 {
			t.Errorf("accepted %+v", j)
		}
	})
}
