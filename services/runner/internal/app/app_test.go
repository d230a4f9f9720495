package app

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/services/runner/internal/sandbox"
	"github.com/towline/towline/services/runner/internal/worker"
)

// TestMain lets the test binary be a job process that waits for ever.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == JobCommand {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// house is all that a runner needs around it.
type house struct {
	t               *testing.T
	redis           *redistest.Server
	policy, api     *httptest.Server
	policyUp, apiUp atomic.Int64 // the status with which they answer
	log             *outputtest.Buffer
	args            []string
	seal            *seal.Box
}

func around(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, redis: redistest.Private(t), log: &outputtest.Buffer{}}
	answer := func(code *atomic.Int64) *httptest.Server {
		code.Store(http.StatusOK)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(code.Load())) }))
		t.Cleanup(s.Close)
		return s
	}
	h.policy, h.api = answer(&h.policyUp), answer(&h.apiUp)
	key := bytes.Repeat([]byte{9}, seal.KeySize)
	var err error
	if h.seal, err = seal.New(key); err != nil {
		t.Fatal(err)
	}
	h.args = []string{
		"--redis-url=" + h.redis.URL + "?read_timeout=2s", "--redis-prefix=pre", "--policy-url=" + h.policy.URL, "--listen=127.0.0.1:0",
		"--seal-key-file=" + h.file("seal.key", base64.StdEncoding.EncodeToString(key)), "--kubeconfig=" + h.file("kubeconfig", kubeconfig(h.api.URL)),
		"--work-dir=" + t.TempDir(), "--sandbox=off", "--warm=0",
	}
	return h
}

func kubeconfig(server string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],
clusters: [{name: k, cluster: {server: %q}}], users: [{name: u, user: {token: the-own-token}}]}`, server)
}

func (h *house) file(name, content string) string {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// build makes a runner without running it.
func (h *house) build(more ...string) (*runner, error) {
	h.t.Helper()
	cfg, err := parse(append(h.args, more...), noEnv, io.Discard)
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := build(h.t.Context(), cfg, slog.New(slog.NewTextHandler(h.log, nil)))
	if err == nil {
		h.t.Cleanup(func() { _, _ = r.gateL.Close(), r.relay.Listener.Close() })
	}
	return r, err
}

// TestEachSettingReachesItsUser has a check for every field of settings.
func TestEachSettingReachesItsUser(t *testing.T) {
	h := around(t)
	cert, _, err := gate.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
	r, err := h.build("--rules="+h.file("rules.yaml", "rules: []"), "--git-ca-file="+h.file("ca.pem", ca), "--ca-file="+h.file("cas.pem", ca), "--egress-tls", "--concurrent=7", "--syncs=4", "--warm=3", "--log-limit=12345", "--scratch-limit=5368709120", "--memory-limit=6442450944", "--drain-timeout=5s", "--debug-trace=false", "--feature-flags=FF_SCRIPT_SECTIONS=false", "--name=my runner", "--egress-address=egress:1", "--cache-dir="+t.TempDir(), "--toolbox="+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ledger.Offer(t.Context(), "x/0", time.Minute); err != nil {
		t.Fatal(err)
	}
	prefixed, _ := h.redis.Client().Exists(t.Context(), "pre:{tickets}").Result()
	sealed, _ := h.seal.Seal([]byte("x"), "purpose")
	_, opened := r.worker.Seal.Open(sealed, "purpose")
	byRun := true // TestRun shows it
	for field, ok := range map[string]bool{
		"redis": r.ledger.Ping(t.Context()) == nil, "caFile": r.trust != nil, "egressTLS": r.relay.Dial != nil, "redisPrefix": prefixed == 1, "sealKeyFile": opened == nil,
		"policyURL": r.askPolicy(t.Context()) == nil, "egressAddress": r.relay.Target == "egress:1",
		"kubeconfig": r.api.Host == h.api.URL, "gitCAFile": r.worker.GitCA() == ca,
		"rules":      len(r.rules) == 1, // TestRulesAreAskedOfEachRequest shows it
		"concurrent": r.worker.Slots == 7, "syncs": r.syncer.Slots == 4, "warm": r.worker.Warm == 3, "logLimit": r.worker.LogLimit == 12345,
		"workDir":      filepath.Dir(r.worker.Dir) == r.cfg.workDir,
		"scratchLimit": r.worker.Limits.Scratch == 5<<30, "memoryLimit": r.worker.Limits.Memory == 6<<30,
		"toolbox": len(r.worker.Toolbox) == 1, "sandbox": r.worker.Sandbox == sandbox.ModeOff, "drainTimeout": r.worker.Drain == 5*time.Second, "debugTrace": r.worker.NoDebugTrace,
		"featureFlags": maps.Equal(r.worker.FeatureFlags, map[string]bool{"FF_SCRIPT_SECTIONS": false}),
		"listen":       byRun, "name": r.worker.Name == "my runner", "logFormat": byRun, "logLevel": byRun,
	} {
		if _, found := reflect.TypeFor[settings]().FieldByName(field); !found || !ok {
			t.Errorf("%s: exists %v, arrives %v", field, found, ok)
		}
	}
	cfg := reflect.ValueOf(r.worker.Config)
	for i := range cfg.NumField() {
		if cfg.Field(i).IsZero() {
			t.Errorf("worker.Config.%s is not set", cfg.Type().Field(i).Name)
		}
	}
	if e := r.worker.Endpoint; e.GatePort == 0 || e.EgressPort == 0 || len(e.CA) == 0 || e.GatePort == e.EgressPort {
		t.Errorf("endpoint = %+v", worker.Endpoint{GatePort: e.GatePort, EgressPort: e.EgressPort})
	}
}

func TestFaultsAtTheStart(t *testing.T) {
	h := around(t)
	for name, c := range map[string]struct{ arg, want string }{
		"no sealing key":          {"--seal-key-file=/does/not/exist", "--seal-key-file: sealing key"},
		"a sealing key too short": {"--seal-key-file=" + h.file("k", "eA=="), "openssl rand -base64 32"},
		"no authorities":          {"--ca-file=/does/not/exist", "--ca-file: "},
		"no kubeconfig":           {"--kubeconfig=/does/not/exist", "--kubeconfig: "},
		"not a kubeconfig":        {"--kubeconfig=" + h.file("c", "{{"), "--kubeconfig: "},
		"outside of a pod":        {"--kubeconfig=", "give --kubeconfig when the runner is not in a pod"},
		"no certificate file":     {"--git-ca-file=/does/not/exist", "--git-ca-file: "},
		"no CA of the webhook":    {"--audit-webhook=https://audit --audit-webhook-ca-file=/does/not/exist", "--audit-webhook-ca-file: "},
		"not a certificate":       {"--git-ca-file=" + h.file("ca", "hello"), "holds no PEM certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			_, err := h.build(strings.Fields(c.arg)...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "eA==") {
				t.Error("the error quotes the key")
			}
		})
	}
}

func TestTheSandboxIsNeverSilentlyOff(t *testing.T) {
	h := around(t)
	if _, err := h.build(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(h.log.String(), "job processes are not confined (--sandbox=off)") {
		t.Errorf("log = %s", h.log)
	}
	_, err := h.build("--sandbox=enforce")
	if _, unsupported := sandbox.Check(); unsupported == nil {
		if err != nil || !strings.Contains(h.log.String(), "job processes are confined") {
			t.Errorf("error = %v, log = %s", err, h.log)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), "cannot confine job processes") || !strings.Contains(err.Error(), "--sandbox=off") {
		t.Errorf("error = %v", err)
	}
}

// up runs the runner and returns the address of its health pages.
func (h *house) up(more ...string) (url string) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, append(h.args, more...), noEnv, h.log) }()
	h.t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				h.t.Errorf("Run: %v", err)
			}
		case <-time.After(time.Minute):
			h.t.Error("the runner does not stop")
		}
	})
	h.eventually("it listens", func() bool {
		for line := range strings.Lines(h.log.String()) {
			var m struct{ Msg, Listen string }
			if json.Unmarshal([]byte(line), &m) == nil && m.Msg == "runner starts" {
				url = "http://" + m.Listen
			}
		}
		return url != ""
	})
	return url
}

func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	eventually.Is(h.t, what, ok, h.log)
}

// page is status and text of a health page.
func (h *house) page(url string) (int, string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// TestRun: what the runner depends on comes and goes; it stays up, says why it
// is not ready, offers no tickets meanwhile, and recovers.
func TestRun(t *testing.T) {
	h := around(t)
	url := h.up("--concurrent=2", "--log-level=debug")
	ready := func(want int, why string) {
		t.Helper()
		h.eventually(fmt.Sprintf("readyz answers %d %s", want, why), func() bool {
			code, text := h.page(url + "/readyz")
			return code == want && strings.Contains(text, why)
		})
		if code, _ := h.page(url + "/livez"); code != http.StatusOK {
			t.Errorf("livez answers %d", code)
		}
	}
	offered := func(want int64) {
		t.Helper()
		h.eventually(fmt.Sprintf("%d tickets", want), func() bool {
			n, err := h.redis.Client().ZCard(t.Context(), "pre:{tickets}").Result()
			return err == nil && n == want
		})
	}
	ready(http.StatusOK, `"ready":true`)
	offered(2)

	h.policyUp.Store(http.StatusBadGateway)
	ready(http.StatusServiceUnavailable, "is not policy (status 502)")
	offered(0)
	h.policyUp.Store(http.StatusOK)
	ready(http.StatusOK, "")
	offered(2)

	h.apiUp.Store(http.StatusUnauthorized)
	ready(http.StatusServiceUnavailable, "does not accept the runner's credential")
	h.apiUp.Store(http.StatusInternalServerError)
	ready(http.StatusServiceUnavailable, "is not well (status 500)")
	h.apiUp.Store(http.StatusForbidden) // it answers, and knows us
	ready(http.StatusOK, "")

	if err := h.redis.Stop(); err != nil {
		t.Fatal(err)
	}
	ready(http.StatusServiceUnavailable, "redis does not answer")
	if err := h.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	ready(http.StatusOK, "")
	offered(2)
	if code, text := h.page(url + "/metrics"); code != http.StatusOK || !strings.Contains(text, "towline_runner_jobs_running 0") {
		t.Errorf("metrics answer %d", code)
	}
}

func TestNothingOfItsWorldIsThereYet(t *testing.T) {
	h := around(t)
	h.policy.Close()
	h.api.Close()
	if err := h.redis.Stop(); err != nil {
		t.Fatal(err)
	}
	url := h.up()
	h.eventually("all is named", func() bool {
		code, text := h.page(url + "/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(text, "policy at "+h.policy.URL+" does not answer") &&
			strings.Contains(text, "the Kubernetes API at "+h.api.URL+" does not answer") && strings.Contains(text, "redis does not answer")
	})
	if strings.Contains(h.log.String(), "the-own-token") {
		t.Error("the credential is in the log")
	}
}

func TestRunFailsWithTheNameOfTheOption(t *testing.T) {
	h := around(t)
	for _, c := range []struct{ arg, want string }{
		{"--listen=256.0.0.1:1", "--listen=256.0.0.1:1"},
		{"--log-format=xml", "--log-format=xml: use json or text"},
		{"--log-level=loud", "--log-level=loud: use debug"},
		{"--concurrent=0", "--concurrent=0"},
	} {
		err := Run(t.Context(), append(h.args, c.arg), noEnv, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.arg, err)
		}
	}
	var text bytes.Buffer
	_ = Run(t.Context(), append(h.args, "--log-format=text", "--log-level=error", "--listen=256.0.0.1:1"), noEnv, &text)
	if text.Len() != 0 {
		t.Errorf("with --log-level=error: %s", &text)
	}
	_ = Run(t.Context(), append(h.args, "--log-format=text", "--listen=256.0.0.1:1"), noEnv, &text)
	if !strings.Contains(text.String(), "level=WARN") {
		t.Errorf("with --log-format=text: %s", &text)
	}
}
