package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/joblines/linestest"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// witnessed is what GitLab says of the job.
type witnessed struct {
	source
	agents    *gitlab.AllowedAgents
	agentsErr error
	env       *gitlab.Environment
	envErr    error
	file      string // .gitlab-ci.yml; "" is none
	keys      *policyapi.IDTokenKeys
	keysErr   error
	looked    []string // names of environments that were looked up
	asked     []gitlab.JobToken
	forTokens []string // tokens that keys were asked for
}

func (w *witnessed) AllowedAgents(_ context.Context, token gitlab.JobToken) (*gitlab.AllowedAgents, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, token)
	return w.agents, w.agentsErr
}

func (w *witnessed) EnvironmentNamed(_ context.Context, token gitlab.JobToken, _ int64, name string) (*gitlab.Environment, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked, w.asked = append(w.looked, name), append(w.asked, token)
	return w.env, w.envErr
}

func (w *witnessed) JobFile(_ context.Context, token gitlab.JobToken, project int64, path, commit string, limit int64) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, token)
	if w.file == "" || project != 20 || path != ".gitlab-ci.yml" || commit != commitSHA || limit != 256<<10 {
		return nil, fmt.Errorf("%w: %s of %d at %s up to %d bytes", gitlab.ErrNoFile, path, project, commit, limit)
	}
	return []byte(w.file), nil
}

// For implements Keyring.
func (w *witnessed) For(_ context.Context, tokens []string) (*policyapi.IDTokenKeys, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forTokens = append(w.forTokens, tokens...)
	return w.keys, w.keysErr
}

// judge is a policy with one answer.
type judge struct {
	decision *policyapi.Decision
	err      error
	evidence []policyapi.Evidence
	config   *policyapi.Configuration
}

func (j *judge) Decide(_ context.Context, e policyapi.Evidence, c *policyapi.Configuration) (*policyapi.Decision, error) {
	j.evidence, j.config = append(j.evidence, e), c
	return j.decision, j.err
}

// truth is GitLab's answer for the job of these tests.
func truth(t *testing.T) *gitlab.AllowedAgents {
	t.Helper()
	var a gitlab.AllowedAgents
	err := json.Unmarshal([]byte(`{"allowed_agents":[{"id":5,"config_project":{"id":9}}],"job":{"id":1001},"project":{"id":20,"groups":[{"id":72},{"id":70}]},
		"user":{"id":3,"username":"alice","roles_in_project":["developer"]},"environment":{"slug":"prod","tier":"production"}}`), &a)
	if err != nil {
		t.Fatal(err)
	}
	return &a
}

var allowed = &policyapi.Decision{
	Allow: true, Grant: "signed.grant", Rule: "config.yaml:3", Identity: grant.Identity{Mode: "ci_job", User: "gitlab:ci_job:1001"},
	Notices: []string{"no namespace\x07"}, Namespaces: []string{"apps", "web\x1b[2J"}, DefaultNamespace: "apps",
}

// admit records the job and has it decided.
type admitted struct {
	*bench
	*Admission
	err error
}

func admit(t *testing.T, w *witnessed, j *judge, vars ...jobspec.Variable) *admitted {
	t.Helper()
	b := newBench(t, redistest.New(t), &w.source)
	payload := payloadOf(1001, vars...)
	sealed, err := ledger.SealPayload(b.box, 1001, payload)
	b.must(err)
	b.offer("r1/0")
	if ticket, err := b.Ledger.Take(t.Context(), "test", 0); ticket != "r1/0" || err != nil {
		t.Fatal(ticket, err)
	}
	b.must(b.Ledger.Accept(t.Context(), 1001, sealed, "r1/0"))
	job, err := jobspec.Decode(payload)
	b.must(err)
	conf := &policyapi.Configuration{Source: "acme/agents@1:config.yaml", Revision: "r"}
	a := &admitted{bench: b, Admission: &Admission{
		GitLab: w, Keys: w, Policy: j, Ledger: b.Ledger, Seal: b.box, Name: "cluster one", SystemID: "r_1", GitLabURL: "https://gitlab.example.com", Log: b.Log,
		Configuration: func() (*policyapi.Configuration, error) { return conf, nil },
	}}
	a.err = a.Admit(t.Context(), job, payload)
	if strings.Contains(b.lines.String(), jobToken) || strings.Contains(b.lines.String(), "signed.grant") {
		t.Error("a secret was logged")
	}
	return a
}

func (a *admitted) trace() string {
	a.tb.Helper()
	data, err := a.bench.Ledger.Trace(a.tb.Context(), 1001, 0, 1<<20)
	a.must(err)
	return string(data)
}

func (a *admitted) result() ledger.Result {
	a.tb.Helper()
	rec, err := a.bench.Ledger.Load(a.tb.Context(), 1001)
	a.must(err)
	r, err := ledger.OpenJSON[ledger.Result](a.box, 1001, rec.Result)
	a.must(err)
	return r
}

func TestAllowedJobIsQueuedWithItsWarrant(t *testing.T) {
	t.Parallel()
	w, j := &witnessed{agents: truth(t)}, &judge{decision: allowed}
	a := admit(t, w, j)
	a.must(a.err)
	rec, err := a.bench.Ledger.Load(t.Context(), 1001)
	a.must(err)
	if rec.State != ledger.Queued || strings.Contains(string(rec.Grant), "signed") {
		t.Errorf("record = %+v", rec)
	}
	got, err := ledger.OpenJSON[ledger.Warrant](a.box, 1001, rec.Grant)
	a.must(err)
	want := ledger.Warrant{Grant: "signed.grant", SystemID: "r_1", GitLabURL: "https://gitlab.example.com", Preamble: []string{
		"Allowed by config.yaml:3",
		"Acting as gitlab:ci_job:1001 (access_as: ci_job), in namespace apps unless another is named",
		"Limited to the namespaces apps, web [2J", "Note: no namespace ",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if id, err := a.bench.Ledger.Next(t.Context(), 0); err != nil || id != 1001 {
		t.Errorf("queue: %d, %v", id, err)
	}
	if diff := cmp.Diff([]string{"PUT 1001 running"}, w.made()); diff != "" {
		t.Error(diff)
	}
	if n := a.tickets(); n != 0 {
		t.Errorf("%d tickets on offer although the job needs its slot", n)
	}
	if j.config == nil || j.config.Revision != "r" {
		t.Errorf("configuration = %+v", j.config)
	}
	// Asked with the token of the payload.
	for _, token := range w.asked {
		if token != jobToken {
			t.Errorf("asked with %q", string(token))
		}
	}
}

func TestEvidenceIsWhatGitLabSays(t *testing.T) {
	t.Parallel()
	protected := true
	w, j := &witnessed{agents: truth(t), env: &gitlab.Environment{Name: "production", Slug: "prod"}}, &judge{decision: allowed}
	a := admit(t, w, j,
		jobspec.Variable{Key: "CI_ENVIRONMENT_NAME", Value: "production"},
		jobspec.Variable{Key: "CI_PROJECT_ID", Value: "forged-1"}, jobspec.Variable{Key: "CI_PROJECT_PATH", Value: "forged-2"},
		jobspec.Variable{Key: "CI_COMMIT_REF_PROTECTED", Value: "forged-3"}, jobspec.Variable{Key: "GITLAB_USER_ID", Value: "forged-4"},
		jobspec.Variable{Key: "CI_JOB_TOKEN", Value: "forged-5"}, jobspec.Variable{Key: "CI_ENVIRONMENT_SLUG", Value: "forged-6"},
		jobspec.Variable{Key: "CI_ENVIRONMENT_TIER", Value: "forged-7"}, jobspec.Variable{Key: "CI_JOB_ID", Value: "forged-8"},
		jobspec.Variable{Key: "GITLAB_USER_LOGIN", Value: "forged-9"}, jobspec.Variable{Key: "CI_JOB_NAME", Value: "forged-10"},
		jobspec.Variable{Key: "KUBE_CONTEXT", Value: "acme/agents:$WHICH"}, jobspec.Variable{Key: "WHICH", Value: "main"},
	)
	a.must(a.err)
	want := policyapi.Evidence{
		Job: policyapi.EvidenceJob{
			ID: 1001, Name: "deploy", PipelineID: 574, ProjectID: 20, ProjectPath: "acme/app", UserID: 3, TimeoutSeconds: 600,
			Ref: "main", RefType: "branch", Image: "kubectl:$VERSION", RefProtected: &protected, PayloadDigest: j.evidence[0].Job.PayloadDigest,
		},
		AllowedAgents: &policyapi.AllowedAgents{
			JobID: 1001, ProjectID: 20, GroupIDs: []int64{72, 70}, User: policyapi.User{ID: 3, Username: "alice", Roles: []string{"developer"}},
			Environment: &policyapi.Environment{Slug: "prod", Tier: "production"}, Agents: []policyapi.AllowedAgent{{ID: 5, ConfigProjectID: 9}},
		},
		EnvironmentName: "production", RequestedAgent: policyapi.Requested{Value: "acme/agents:main", Source: policyapi.FromKubeContext},
	}
	if diff := cmp.Diff(want, j.evidence[0]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	b, err := json.Marshal(j.evidence[0])
	a.must(err)
	if strings.Contains(string(b), "forged") || strings.Contains(string(b), jobToken) {
		t.Errorf("evidence = %s", b)
	}
	sealed, err := a.bench.Ledger.Payload(t.Context(), 1001)
	a.must(err)
	payload, err := ledger.OpenPayload(a.box, 1001, sealed)
	a.must(err)
	if j.evidence[0].Job.PayloadDigest != grant.Digest(payload) {
		t.Error("the digest is not that of the stored payload")
	}
}

func TestEvidenceOfOddAnswers(t *testing.T) {
	t.Parallel()
	name := jobspec.Variable{Key: "CI_ENVIRONMENT_NAME", Value: "production"}
	another, noEnv := truth(t), truth(t)
	another.Job.ID, another.Project.ID = 7, 8
	noEnv.Environment = nil
	tests := map[string]struct {
		w     *witnessed
		vars  []jobspec.Variable
		check func(policyapi.Evidence) bool
	}{
		"another job passes through to policy": {&witnessed{agents: another}, nil, func(e policyapi.Evidence) bool {
			return e.AllowedAgents.JobID == 7 && e.AllowedAgents.ProjectID == 8 && e.Job.ID == 1001
		}},
		"token refused":                       {&witnessed{agentsErr: gitlab.ErrRefused, env: &gitlab.Environment{Name: "production", Slug: "prod"}}, []jobspec.Variable{name}, func(e policyapi.Evidence) bool { return e.AllowedAgents == nil && e.EnvironmentName == "" }},
		"another slug":                        {&witnessed{agents: truth(t), env: &gitlab.Environment{Name: "production", Slug: "other"}}, []jobspec.Variable{name}, noName},
		"GitLab knows of no environment":      {&witnessed{agents: noEnv, env: &gitlab.Environment{Name: "production", Slug: "prod"}}, []jobspec.Variable{name}, noName},
		"no environment of that name":         {&witnessed{agents: truth(t)}, []jobspec.Variable{name}, noName},
		"environments may not be read":        {&witnessed{agents: truth(t), envErr: gitlab.ErrRefused}, []jobspec.Variable{name}, noName},
		"no name given":                       {&witnessed{agents: truth(t), env: &gitlab.Environment{Name: "production", Slug: "prod"}}, nil, noName},
		"an endless name is not looked up":    {&witnessed{agents: truth(t), envErr: errors.New("414")}, []jobspec.Variable{{Key: "CI_ENVIRONMENT_NAME", Value: strings.Repeat("x", 1<<20)}}, noName},
		"an endless context names no agent":   {&witnessed{agents: truth(t)}, []jobspec.Variable{{Key: "KUBE_CONTEXT", Value: strings.Repeat("x", 2<<20)}}, func(e policyapi.Evidence) bool { return len(e.RequestedAgent.Value) == maxText }},
		"a name made of references":           {&witnessed{agents: truth(t), env: &gitlab.Environment{Name: "review/x", Slug: "prod"}}, []jobspec.Variable{{Key: "CI_ENVIRONMENT_NAME", Value: "review/$B"}, {Key: "B", Value: "x"}}, func(e policyapi.Evidence) bool { return e.EnvironmentName == "review/x" }},
		"the name is GitLab's, not the guess": {&witnessed{agents: truth(t), env: &gitlab.Environment{Name: "GitLab's", Slug: "prod"}}, []jobspec.Variable{name}, func(e policyapi.Evidence) bool { return e.EnvironmentName == "GitLab's" }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &judge{decision: allowed}
			a := admit(t, tt.w, j, tt.vars...)
			a.must(a.err)
			if !tt.check(j.evidence[0]) {
				t.Errorf("evidence = %+v", j.evidence[0])
			}
		})
	}
}

func noName(e policyapi.Evidence) bool { return e.EnvironmentName == "" && e.AllowedAgents != nil }

func TestDeniedJobEndsWithTheReason(t *testing.T) {
	t.Parallel()
	a := admit(t, &witnessed{agents: truth(t)}, &judge{decision: &policyapi.Decision{
		Reasons: []string{"project acme/app is not in config.yaml:3", "name \x1b[2J\u009b31m\u202eevil\r\nsection_start:0:x\tand \xff more"},
		Remedy:  "add\nit to ci_access", Notices: []string{"the last\tgood one"},
	}})
	a.must(a.err)
	const want = "\x1b[0KRunning with towline 0.1.0-dev\x1b[0;m\n" +
		"\x1b[0K  on cluster one, system ID: r_1\x1b[0;m\n" +
		"\x1b[31;1mERROR: Towline does not run this job.\x1b[0;m\n" +
		"  project acme/app is not in config.yaml:3\n" +
		"  name  [2J 31m evil  section_start:0:x and \ufffd more\n" +
		"\x1b[32;1mWhat to do: add it to ci_access\x1b[0;m\n" +
		"Note: the last good one\n" +
		"\x1b[31;1mERROR: Job failed: denied by policy\x1b[0;m\n"
	if diff := cmp.Diff(want, linestest.Bare(a.trace())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(ledger.Result{State: ledger.Failed, FailureReason: ledger.ReasonConfiguration}, a.result()); diff != "" {
		t.Error(diff)
	}
	if a.state(1001) != ledger.Finished {
		t.Errorf("job is %s", a.state(1001))
	}
	if _, err := a.bench.Ledger.Next(t.Context(), 0); !errors.Is(err, ledger.ErrNone) {
		t.Errorf("the denied job is in the queue: %v", err)
	}
	if n := a.tickets(); n != 1 {
		t.Errorf("%d tickets on offer, want the one that the job did not use", n)
	}
}

func TestEarlyUpdate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer gitlab.UpdateResult
		state  ledger.State
		asked  bool
	}{
		"gone":      {gitlab.UpdateResult{Outcome: gitlab.UpdateJobGone}, ledger.Reported, false},
		"canceling": {gitlab.UpdateResult{Outcome: gitlab.UpdateAccepted, Status: gitlab.StatusCanceling}, ledger.Finished, false},
		"any other": {gitlab.UpdateResult{Outcome: gitlab.UpdateRetry, Why: errors.New("500")}, ledger.Queued, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, j := &witnessed{agents: truth(t)}, &judge{decision: allowed}
			w.updates = []gitlab.UpdateResult{tt.answer}
			a := admit(t, w, j)
			a.must(a.err)
			if got := a.state(1001); got != tt.state || (len(j.evidence) > 0) != tt.asked || (len(w.asked) > 0) != tt.asked {
				t.Errorf("job is %s; policy was asked %d times", got, len(j.evidence))
			}
			if diff := cmp.Diff([]string{"PUT 1001 running"}, w.made()); diff != "" {
				t.Error(diff)
			}
			if name == "canceling" && (a.result().FailureReason != ledger.ReasonCanceled || !strings.HasSuffix(a.trace(), "ERROR: Job failed: canceled\x1b[0;m\n")) {
				t.Errorf("result %+v, log %q", a.result(), a.trace())
			}
		})
	}
}

func TestNoDecisionLeavesTheJobAsItIs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		w *witnessed
		j *judge
	}{
		"policy is not available":        {&witnessed{agents: truth(t)}, &judge{err: policyapi.ErrUnavailable}},
		"GitLab cannot be asked":         {&witnessed{agentsErr: errors.New("GitLab answers 500")}, &judge{decision: allowed}},
		"environments cannot be asked":   {&witnessed{agents: truth(t), envErr: errors.New("GitLab answers 500")}, &judge{decision: allowed}},
		"GitLab's answer is of no shape": {&witnessed{agentsErr: errors.New("JSON of another shape")}, &judge{decision: allowed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := admit(t, tt.w, tt.j, jobspec.Variable{Key: "CI_ENVIRONMENT_NAME", Value: "x"})
			if a.err == nil || a.state(1001) != ledger.Accepted || a.trace() != "" {
				t.Errorf("error %v, job is %s", a.err, a.state(1001))
			}
		})
	}
	t.Run("the configuration is not known yet", func(t *testing.T) {
		t.Parallel()
		j := &judge{err: errors.New("not now")}
		a := admit(t, &witnessed{agents: truth(t)}, j)
		a.Configuration = func() (*policyapi.Configuration, error) { return nil, errors.New("not read yet") }
		j.err, j.decision, j.evidence = nil, &policyapi.Decision{}, nil
		job, err := jobspec.Decode(payloadOf(1001))
		a.must(err)
		if err := a.Admit(t.Context(), job, payloadOf(1001)); err == nil || len(j.evidence) > 0 || a.state(1001) != ledger.Accepted {
			t.Errorf("error %v, job is %s: without its configuration policy would deny", err, a.state(1001))
		}
	})
}

func TestAdmittingTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	a := admit(t, &witnessed{agents: truth(t)}, &judge{decision: allowed})
	a.must(a.err)
	job, err := jobspec.Decode(payloadOf(1001))
	a.must(err)
	a.must(a.Admit(t.Context(), job, payloadOf(1001)))
	a.Policy = &judge{decision: &policyapi.Decision{}}
	for range 2 { // queued, then closed
		a.must(a.Admit(t.Context(), job, payloadOf(1001)))
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"plain", "ümläut ✓", "\x1b[0m", "\u009b", "\u202e", "\xff\xfe", "a\nb\r\tc\x00", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := printable(s); strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
			t.Errorf("printable(%q) = %q", s, got)
		}
	})
}
