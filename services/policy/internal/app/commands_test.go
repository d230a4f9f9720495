package app

import (
	"encoding/pem"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
)

// ran is a command: what it printed, its exit status and its error.
func ran(t *testing.T, getenv func(string) string, args ...string) (out string, status int, message string) {
	t.Helper()
	var b strings.Builder
	err := Run(t.Context(), args, getenv, &b)
	if err == nil {
		return b.String(), 0, ""
	}
	var s service.Status
	if !errors.As(err, &s) {
		return b.String(), 1, err.Error()
	}
	if s.Err != nil {
		message = s.Err.Error()
	}
	return b.String(), s.Code, message
}

func none(string) string { return "" }

func TestCommandsAskTheRunningService(t *testing.T) {
	k8s := kubernetes(t)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k8s.Certificate().Raw})
	conf := file(t, "config.yaml", "ci_access: {projects: [{id: group/app, access_as: {ci_job: {}}}]}")
	rule := file(t, "rules.yaml", "rules: [{name: not-mallory, deny: user.username == \"mallory\", message: not you}]")
	socket := filepath.Join(t.TempDir(), "s")
	url, _ := policy(t, "--kubeconfig="+kubeconfig(t, k8s.URL, ca), "--config="+conf, "--rules="+rule, "--explain-socket="+socket)
	report(t, url, ready)
	// As in a pod: the address is in the environment, the other settings are not.
	env := func(name string) string {
		if name == service.EnvName("explain-socket") {
			return socket
		}
		return ""
	}
	question := []string{"explain", "--project=group/app", "--ref=main"}
	if out, status, message := ran(t, env, question...); status != 0 || !strings.Contains(out, "Let in by "+conf+":1: ci_access.projects[0]") {
		t.Errorf("status %d, %s\n%s", status, message, out)
	}
	if out, status, _ := ran(t, env, append(question, "--user=mallory")...); status != 1 || !strings.Contains(out, "not-mallory") || !strings.Contains(out, "not you") {
		t.Errorf("the owner's rules: status %d\n%s", status, out)
	}
	out, status, message := ran(t, env, "show")
	for _, want := range []string{"--agent\n", "default\n", conf, `rule "not-mallory"`, "project group/app"} {
		if !strings.Contains(out, want) {
			t.Errorf("show, status %d, %s: %q is missing in\n%s", status, message, want, out)
		}
	}
	e := policyapi.Evidence{
		Job:           policyapi.EvidenceJob{ID: 9, ProjectID: 150, ProjectPath: "group/app", PayloadDigest: grant.Digest(nil)},
		AllowedAgents: &policyapi.AllowedAgents{JobID: 9, ProjectID: 150},
	}
	d, err := policyapi.NewClient(url, func() (string, error) { return "tunnel-token", nil }, nil).Decide(t.Context(), e, nil)
	if err != nil || !d.Allow {
		t.Fatalf("%+v, %v", d, err)
	}
	out, status, message = ran(t, env, "explain", "--job=9")
	if status != 0 || !strings.Contains(out, "Job 9 of group/app") || strings.Contains(out, d.Grant) {
		t.Errorf("status %d, %s\n%s", status, message, out)
	}
}

func TestCommandsAskFilesAlone(t *testing.T) {
	conf := file(t, "config.yaml", "ci_access: {projects: [{id: group/app, access_as: {ci_job: {}}}]}")
	base := []string{"explain", "--config=" + conf, "--project=group/app", "--ref=main"}
	// Files on the command line win over a running service.
	env := func(name string) string {
		if name == service.EnvName("explain-socket") {
			return "/nobody/there"
		}
		return ""
	}
	if out, status, message := ran(t, env, append(base, "--agent=group/agents:prod")...); status != 0 || !strings.Contains(out, "Let in by") {
		t.Errorf("status %d, %s\n%s", status, message, out)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no agent":        {base, "--agent=: want group/project:name"},
		"faulty":          {[]string{"explain", "--config=" + file(t, "config.yaml", "bogus: 1"), "--agent=g/a:p", "--project=a/b", "--ref=x"}, "bogus: unknown key"},
		"faulty rules":    {append(base, "--agent=g/a:p", "--rules=/does/not/exist"), "/does/not/exist"},
		"nothing given":   {[]string{"show"}, "no running policy is known here"},
		"unknown command": {[]string{"lnt"}, `unknown command "lnt": the commands are explain, lint, show; without one the service runs`},
		"unknown option":  {[]string{"explain", "--projekt=x"}, "-projekt"},
		"lint":            {[]string{"lint", "/does/not/exist"}, "no such file"},
	} {
		if out, status, message := ran(t, none, tt.args...); status != 2 || out != "" || !strings.Contains(message, tt.want) {
			t.Errorf("%s: status %d, %q, out %q", name, status, message, out)
		}
	}
}

func TestHelpNamesTheCommands(t *testing.T) {
	out, _, _ := ran(t, none, "--help")
	for name := range commands {
		if !strings.Contains(out, "\n  "+name+" ") {
			t.Errorf("%s is missing in\n%s", name, out)
		}
	}
}

func TestASocketThatIsTakenEndsTheStart(t *testing.T) {
	s, err := parse([]string{"--agent=g/a:p", "--callers=" + tunnel, "--explain-socket=/does/not/exist/s"}, none, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.explaining(t.Context(), explainable{}, nil); err == nil || !strings.Contains(err.Error(), "--explain-socket=/does/not/exist/s") {
		t.Errorf("error %v", err)
	}
}
