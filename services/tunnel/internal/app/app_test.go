package app

import (
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/redislink"
	"github.com/towline/towline/services/tunnel/internal/intake"
)

var key = env("AGENT_SECRET_KEY", token)

func TestStartsPollsAndStops(t *testing.T) {
	t.Parallel()
	p := start(t, serve(t, quietGitLab), serve(t, status(200)), redistest.New(t).URL, key)
	p.ready()
	if err := p.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if log := p.out.String(); strings.Contains(log, token) || !strings.Contains(log, `"msg":"tunnel starts"`) {
		t.Errorf("log:\n%s", log)
	}
}

func TestWrongTokenAtTheStart(t *testing.T) {
	t.Parallel()
	path := file(t, "token", "glrt-revoked_secret")
	p := start(t, serve(t, quietGitLab), serve(t, status(200)), redistest.New(t).URL, none, "--token-file="+path)
	p.link("gitlab", "refuses the runner token")
	p.link("policy", "up")
	p.eventually("asked again", func() bool { return p.gitlab.count("POST /api/v4/runners/verify") >= 2 })
	if n := strings.Count(p.out.String(), "refuses the runner token"); n != 1 {
		t.Errorf("said %d times:\n%s", n, p.out)
	}
	if p.gitlab.count("POST /api/v4/jobs/request") != 0 || strings.Contains(p.out.String(), "_secret") {
		t.Error("jobs were asked for, or the token was logged")
	}
	if resp, err := http.Get("http://" + p.admin() + "/livez"); err != nil || resp.StatusCode != 200 {
		t.Errorf("not alive: %v", err)
	}
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil { // replaced in its Secret
		t.Fatal(err)
	}
	p.ready()
}

func TestGitLabAwayAtTheStart(t *testing.T) {
	t.Parallel()
	p := start(t, serve(t, status(502)), serve(t, status(200)), redistest.New(t).URL, key)
	p.link("gitlab", "answers 502")
	p.gitlab.set(quietGitLab)
	p.ready()
}

func TestPolicyAwayAtTheStart(t *testing.T) {
	t.Parallel()
	p := start(t, serve(t, quietGitLab), serve(t, status(503)), redistest.New(t).URL, key)
	p.link("policy", "is not ready (its log says why); no jobs are taken meanwhile")
	p.link("gitlab", "up")
	p.policy.set(status(200))
	p.ready()
}

func TestRedisAwayAtTheStart(t *testing.T) {
	t.Parallel()
	redis := redistest.Private(t)
	if err := redis.Stop(); err != nil {
		t.Fatal(err)
	}
	p := start(t, serve(t, quietGitLab), serve(t, status(200)), redis.URL, key)
	p.link("redis", "check --redis-url")
	p.link("gitlab", "up")
	if strings.Contains(p.out.String(), strings.Split(strings.Split(redis.URL, ":")[2], "@")[0]) {
		t.Error("the password was logged")
	}
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.ready()
	if p.gitlab.count("POST /api/v4/jobs/request") != 0 {
		t.Error("a job was asked for without a ticket")
	}
}

// With --config-token-file nothing can be decided before the configuration is
// known: policy would deny the job.
func TestNoJobBeforeTheConfigurationIsKnown(t *testing.T) {
	t.Parallel()
	git := func(config http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/repository/files/") {
				config(w, r)
				return
			}
			quietGitLab(w, r)
		}
	}
	s, err := parse([]string{"--gitlab-url=http://127.0.0.1:1", "--agent=acme/agents:main", "--seal-key-file=" + sealKey(t), "--config-token-file=/nowhere"}, none, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	built, err := build(s, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	built.links.redis.Up()
	built.links.policy.Up()
	if built.ready() {
		t.Error("jobs would be taken without a configuration")
	}

	p := start(t, serve(t, git(status(404))), serve(t, status(200)), redistest.New(t).URL, key,
		"--config-token-file="+file(t, "ct", "glpat-secret"), "--config-interval=100ms")
	p.link("configuration", "is not in project acme/agents")
	p.link("gitlab", "up")
	const files = "/api/v4/projects/acme%2Fagents/repository/files/.gitlab%2Fagents%2Fmain%2F"
	p.gitlab.set(git(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() == files+"towline.yaml/raw" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if r.Header.Get("PRIVATE-TOKEN") != "glpat-secret" || r.URL.EscapedPath() != files+"config.yaml/raw" {
			t.Errorf("asked for %s", r.URL)
		}
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("X-Gitlab-Commit-Id", "714a629c0b401fdce83e847fc9589983fc6f46bc")
		_, _ = io.WriteString(w, "ci_access: {}\n")
	}))
	p.ready()
}

func TestWhatEndsTheProcess(t *testing.T) {
	t.Parallel()
	base := []string{"--gitlab-url=https://gitlab.example.com", "--agent=a/b:c", "--seal-key-file=" + sealKey(t)}
	tests := map[string]struct {
		args   []string
		getenv func(string) string
		want   string
	}{
		"no token":        {nil, none, "no runner token"},
		"agent token":     {nil, env("AGENTK_TOKEN", "glagent-x"), "(glagent-)"},
		"no such CA":      {[]string{"--gitlab-ca-file=/nowhere"}, key, "--gitlab-ca-file"},
		"no PEM in CA":    {[]string{"--gitlab-ca-file=" + file(t, "ca", "x")}, key, "holds no PEM certificate"},
		"no sealing key":  {[]string{"--seal-key-file=/nowhere"}, key, "--seal-key-file"},
		"bad log level":   {[]string{"--log-level=loud"}, key, "--log-level=loud"},
		"bad listen":      {[]string{"--listen=nowhere"}, key, "--listen=nowhere"},
		"bad egress":      {[]string{"--listen=127.0.0.1:0", "--egress-listen=nowhere"}, key, "--egress-listen=nowhere"},
		"unknown option":  {[]string{"--gitlab-uri=x"}, key, "-h lists the options"},
		"stray argument":  {[]string{"run"}, key, "unexpected argument"},
		"bad gitlab-url":  {[]string{"--gitlab-url=https://u:hunter2@h"}, key, "--gitlab-url is not an address"},
		"bad redis-url":   {[]string{"--redis-url=https://:hunter2@h"}, key, "--redis-url is not a Redis URL"},
		"bad egress host": {[]string{"--egress-hosts=h"}, key, "want host:port"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Run(t.Context(), append(append([]string{}, base...), tt.args...), tt.getenv, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestEverySettingReachesItsUser builds the tunnel and looks for the settings in
// its parts.
func TestEverySettingReachesItsUser(t *testing.T) {
	ca := httptest.NewTLSServer(http.NotFoundHandler())
	defer ca.Close()
	caFile := file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate().Raw})))
	c := &settings{
		gitlabURL: "https://gitlab.example.com", gitlabCAFile: caFile, tokenFile: file(t, "t", token), config: "not read",
		agent: "acme/agents:main", configTokenFile: file(t, "ct", "glpat-x"), redis: redislink.Options{URL: "redis://:pw@127.0.0.1:1/0"}, redisPrefix: "pre",
		tlsCertFile: "/cert", tlsKeyFile: "/key", caFile: caFile,
		sealKeyFile: sealKey(t), policyURL: "http://policy.example.com:1/", serviceTokenFile: file(t, "st", "sa-token"), listen: "127.0.0.1:0",
		egressListen: "127.0.0.1:0", egressHosts: []string{"h:1"}, name: "cluster one", logFormat: "json", logLevel: "info",
		pollInterval: time.Second, longPoll: 2 * time.Second, configInterval: 3 * time.Second, configOptional: true, queueWait: 4 * time.Second, jobRouter: true, cache: true,
		gitops: true, gitopsTokenFile: file(t, "gt", "glpat-g"), gitopsTokens: []string{"acme/own=" + file(t, "og", "glpat-own")}, gitopsInterval: 5 * time.Second,
	}
	v := reflect.ValueOf(*c)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("this test leaves %s out", v.Type().Field(i).Name)
		}
	}
	b, err := build(c, none, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	configToken, err := b.sources.Token()
	gitopsToken, _, gitopsErr := b.syncs.Token("acme/apps")
	ownToken, _, ownErr := b.syncs.Token("acme/own/app")
	admission, ok := b.keeper.Admit.(*intake.Admission)
	if !ok {
		t.Fatalf("admission is a %T", b.keeper.Admit)
	}
	hidden := func(of any, path ...string) reflect.Value {
		v := reflect.ValueOf(of).Elem()
		for _, field := range path {
			v = v.FieldByName(field)
		}
		return v
	}
	for what, ok := range map[string]bool{
		"gitlab-url":        b.client.URL() == c.gitlabURL && b.egress.Allowed["gitlab.example.com:443"],
		"egress-hosts":      b.egress.Allowed["h:1"] && len(b.egress.Allowed) == 2,
		"agent":             b.sources.Project == "acme/agents" && b.sources.Agent == "main",
		"config-token-file": err == nil && configToken == "glpat-x",
		"gitops-token-file": gitopsErr == nil && gitopsToken == "glpat-g",
		"gitops-tokens":     ownErr == nil && ownToken == "glpat-own",
		"gitops-interval":   b.syncs.Every == c.gitopsInterval,
		"agent's page":      b.syncs.Page == "https://gitlab.example.com/acme/agents/-/cluster_agents/main",
		"config-interval":   b.sources.Every == c.configInterval,
		"config-optional":   b.sources.Optional,
		"poll-interval":     b.poller.Every == c.pollInterval,
		"queue-wait":        b.keeper.Wait == c.queueWait,
		"job-router":        b.router != nil && b.poller.GitLab == intake.JobSource(b.router) && b.router.LongPoll == c.longPoll,
		"cache":             hidden(b.client, "cfg", "Cache").Bool(),
		"long-poll":         hidden(b.client, "cfg", "LongPoll").Int() == int64(c.longPoll),
		"redis-prefix":      hidden(b.ledger, "prefix").String() == "pre:",
		"name":              admission.Name == c.name && hidden(b.client, "cfg", "Name").String() == c.name,
		"the system id":     admission.SystemID == b.client.SystemID(),
		"one name":          b.poller.Tunnel == b.keeper.Tunnel && b.keeper.Tunnel != "",
	} {
		if !ok {
			t.Errorf("%s does not reach its user", what)
		}
	}
	tr, err := gitlabTransport(caFile)
	if err != nil {
		t.Fatalf("transport: %v", err)
	}
	if resp, err := (&http.Client{Transport: tr}).Get(ca.URL); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("the CA is not trusted: %v", err)
	}
}
