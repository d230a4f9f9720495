package development

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

func start(t *testing.T, opts sim.Options) *sim.Server {
	t.Helper()
	s, err := sim.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A runner with the token that everybody knows is the one that the pipeline's
// jobs wait for.
func TestFill(t *testing.T) {
	const first = 1700000000
	s := start(t, sim.Options{Fill: Fill, FirstJob: first})
	p, err := s.RunPipeline(sim.PipelineOptions{Project: Project})
	if err != nil {
		t.Fatal(err)
	}
	var jobs []string
	for _, j := range p.Jobs {
		jobs = append(jobs, j.Name+" "+string(j.Status))
	}
	if diff := cmp.Diff([]string{"deploy pending", "check created"}, jobs); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	if p.Jobs[0].ID != first {
		t.Errorf("the first job is number %d, want %d", p.Jobs[0].ID, first)
	}
	body := `{"token":"` + RunnerToken + `","system_id":"r_AbCdEf012345","info":{"features":{}}}`
	if got := ask(t, http.MethodPost, s.URL()+"/api/v4/jobs/request", body); got != http.StatusCreated {
		t.Errorf("a job is asked for with the runner's token: %d", got)
	}
	const config = "/api/v4/projects/acme%2Fshop/repository/files/.gitlab%2Fagents%2F" + Agent + "%2Fconfig.yaml/raw?ref=main"
	if got := ask(t, http.MethodGet, s.URL()+config, ""); got != http.StatusOK {
		t.Errorf("the agent's configuration is asked for with its token: %d", got)
	}
}

// ask sends a request and returns the status of its answer.
func ask(t *testing.T, method, url, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "gitlab-runner 19.4.0")
	req.Header.Set("PRIVATE-TOKEN", ConfigToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// The rights of the manifests are those of the project's jobs.
func TestManifestsNameTheProject(t *testing.T) {
	p, err := start(t, sim.Options{Fill: Fill}).Project(Project)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("manifests.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(string(raw), "\n---\n") {
		var b rbacv1.RoleBinding
		if err := yaml.Unmarshal([]byte(document), &b); err != nil {
			t.Fatal(err)
		}
		if b.Kind != "RoleBinding" {
			continue
		}
		if want := "gitlab:project:" + strconv.FormatInt(p.ID, 10); len(b.Subjects) != 1 || b.Subjects[0].Name != want {
			t.Errorf("rights are given to %v, want %s", b.Subjects, want)
		}
		return
	}
	t.Error("the manifests have no RoleBinding")
}

func TestTwiceIsRefused(t *testing.T) {
	twice := func(s *sim.Server) error {
		if err := Fill(s); err != nil {
			return err
		}
		_, err := s.CreateRunner(sim.RunnerOptions{FixedToken: RunnerToken})
		return err
	}
	if _, err := sim.Start(sim.Options{Fill: twice}); err == nil || !strings.Contains(err.Error(), "token of the runner is taken") {
		t.Errorf("err = %v", err)
	}
}
