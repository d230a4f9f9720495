package chart

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/seal"
)

// embedded is the Redis of the chart, started as its pod would start it, but
// for the port and the directories.
type embedded struct {
	address   string
	passwords map[string]string
	tls       *tls.Config // nil: without

	dir  string // with its configuration, passwords and data
	stop func()
}

func startEmbedded(t *testing.T) *embedded {
	t.Helper()
	return startEmbeddedOf(t, "without-tls")
}

// startEmbeddedOf starts it as a combination has it.
func startEmbeddedOf(t *testing.T, combination string) *embedded {
	t.Helper()
	r := render(t, combinations[combination]+"\n---\nredis: {prefix: pre}\n")
	config := find[corev1.ConfigMap](t, r, "ConfigMap/towline-redis").Data
	secret := find[corev1.Secret](t, r, "Secret/towline-redis").Data
	run := t.TempDir()
	at := filepath.Join(run, "config")
	passwords := filepath.Join(run, "passwords")
	certificate := filepath.Join(run, "certificate")
	for _, d := range []string{at, passwords, certificate} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &embedded{address: l.Addr().String(), passwords: map[string]string{}, dir: run}
	_, port, _ := net.SplitHostPort(e.address)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range config {
		content = strings.NewReplacer("dir /data", "dir "+run+"\nbind 127.0.0.1", "port 6379", "port "+port, "/etc/towline/tls", certificate).Replace(content)
		write(t, filepath.Join(at, name), content)
	}
	for key, value := range secret {
		e.passwords[strings.TrimSuffix(key, "-password")] = string(value)
		write(t, filepath.Join(passwords, key), string(value)+"\n")
	}
	write(t, filepath.Join(passwords, "runner-password-previous"), "the one before")
	if combination != "without-tls" {
		e.tls = &tls.Config{InsecureSkipVerify: true}
		e.certify(t, r)
	}
	e.start(t)
	return e
}

// start starts it, again if it was stopped.
func (e *embedded) start(t *testing.T) {
	t.Helper()
	at := filepath.Join(e.dir, "config")
	_, port, _ := net.SplitHostPort(e.address)
	cmd := exec.CommandContext(t.Context(), "sh", filepath.Join(at, "start.sh"))
	cmd.Env = append(os.Environ(), "CONFIG="+at, "PASSWORDS="+filepath.Join(e.dir, "passwords"), "RUN="+e.dir, "CERTIFICATE="+filepath.Join(e.dir, "certificate"), "PORT="+port, "INTERVAL=1")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // as its pod would be ended
		_ = cmd.Wait()
	})
	stop := e.stop
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("it said:\n%s", &said)
		}
	})
	e.waitUntilReady(t)
}

// waitUntilReady asks as the probes do.
func (e *embedded) waitUntilReady(t *testing.T) {
	t.Helper()
	health := e.client(t, "health", "x")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", e.address)
		if err == nil && errors.Join(c.Close(), health.Ping(t.Context()).Err()) == nil {
			return
		}
		<-tick.C
	}
	t.Fatal("the embedded Redis does not start")
}

func (e *embedded) client(t *testing.T, user, password string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: e.address, TLSConfig: e.tls, Username: user, Password: password, MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (e *embedded) as(t *testing.T, user string) *ledger.Ledger {
	return ledger.New(e.client(t, user, e.passwords[user]), "pre")
}

// Everything that the services do with the ledger they may do as their users.
func TestUsersOfRedisMayDoTheirWork(t *testing.T) {
	e := startEmbedded(t)
	tunnel, runner := e.as(t, "tunnel"), e.as(t, "runner")
	ctx, ttl := t.Context(), time.Minute
	box, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"runner offers", func() error { return runner.Offer(ctx, "r/0", ttl) }},
		{"runner withdraws", func() error { return runner.Withdraw(ctx, "r/0") }},
		{"runner offers again", func() error { return runner.Offer(ctx, "r/0", ttl) }},
		{"tunnel counts", func() error { return second(tunnel.Tickets(ctx)) }},
		{"tunnel leads", func() error { return second(tunnel.LeadPolling(ctx, "t", ttl)) }},
		{"tunnel sets the cursor", func() error { return tunnel.SetCursor(ctx, "c") }},
		{"tunnel reads the cursor", func() error { return second(tunnel.Cursor(ctx)) }},
		{"tunnel takes", func() error { return second(tunnel.Take(ctx, "claim", time.Second)) }},
		{"tunnel takes again", func() error { return second(tunnel.Take(ctx, "claim", time.Second)) }},
		{"tunnel returns", func() error { return tunnel.Return(ctx, "r/0") }},
		{"tunnel accepts", func() error { return tunnel.Accept(ctx, 1, []byte("payload"), "r/0") }},
		{"tunnel owns", func() error { return second(tunnel.Own(ctx, 1, "t", ttl)) }},
		{"tunnel reads the payload", func() error { return second(tunnel.Payload(ctx, 1)) }},
		{"tunnel enqueues", func() error { return tunnel.Enqueue(ctx, 1, []byte("grant")) }},
		{"tunnel repairs", func() error { return tunnel.Repair(ctx, 1) }},
		{"runner waits for a job", func() error { return second(runner.Next(ctx, time.Second)) }},
		{"runner looks for another", func() error { _, err := runner.Next(ctx, 0); return but(err, ledger.ErrNone) }},
		{"runner claims", func() error { return second(runner.Claim(ctx, 1, "r", ttl)) }},
		{"tunnel cannot release what is leased", func() error { return but(tunnel.Release(ctx, 1), ledger.ErrLost) }},
		{"runner starts", func() error { return runner.Start(ctx, 1, "r") }},
		{"tunnel cancels", func() error { return tunnel.Cancel(ctx, 1, "canceled") }},
		{"runner renews", func() error { return second(runner.Renew(ctx, 1, "r", ttl)) }},
		{"runner writes", func() error { return runner.Append(ctx, 1, "r", 0, []byte("output")) }},
		{"runner wakes", func() error { return runner.Wake(ctx, 1) }},
		{"runner loads", func() error { return second(runner.Load(ctx, 1)) }},
		{"tunnel reads the trace", func() error { return second(tunnel.Trace(ctx, 1, 0, 10)) }},
		{"tunnel acknowledges", func() error { return tunnel.Acked(ctx, 1, 6) }},
		{"runner finishes", func() error { return runner.Finish(ctx, 1, "r", []byte("result"), 6) }},
		{"runner revokes", func() error { return runner.Revoke(ctx, "jti", time.Now().Add(ttl)) }},
		{"runner asks about revocations", func() error { return second(runner.Revoked(ctx, "jti")) }},
		{"tunnel asks about revocations", func() error { return second(tunnel.Revoked(ctx, "jti")) }},
		{"tunnel reports", func() error { return tunnel.MarkReported(ctx, 1) }},
		{"tunnel lists", func() error { return second(tunnel.Active(ctx, 10)) }},
		{"tunnel disowns", func() error { return tunnel.Disown(ctx, 1, "t") }},
		{"tunnel forgets", func() error { return tunnel.Forget(ctx, 1) }},
		{"runner restores", func() error { return runner.Restore(ctx, 2, ledger.Claim{}, "r", ttl) }},
		{"tunnel does not close what is leased", func() error { return but(tunnel.Close(ctx, 2, nil, nil), ledger.ErrLost) }},
		{"tunnel wants a sync", func() error { return second(tunnel.WantSync(ctx, "s", []byte("task"))) }},
		{"tunnel follows", func() error { return second(tunnel.FollowSync(ctx, "s", "t", ttl)) }},
		{"tunnel puts a bundle", func() error { return tunnel.PutBundle(ctx, box, "d", []byte("content")) }},
		{"tunnel holds it", func() error { return second(tunnel.HoldBundle(ctx, "d")) }},
		{"tunnel repairs the sync", func() error { return tunnel.RepairSync(ctx, "s") }},
		{"runner waits for a sync", func() error { return second(runner.NextSync(ctx, time.Second)) }},
		{"runner claims it", func() error { _, _, err := runner.ClaimSync(ctx, "s", "r", ttl); return err }},
		{"runner reads the bundle", func() error { return second(runner.Bundle(ctx, box, "d")) }},
		{"runner renews the sync", func() error { return second(runner.RenewSync(ctx, "s", "r", ttl)) }},
		{"runner finishes the sync", func() error { return runner.FinishSync(ctx, "s", "r", 1, []byte("result")) }},
		{"tunnel loads the sync", func() error { return second(tunnel.LoadSync(ctx, "s")) }},
		{"tunnel wants the next sync", func() error { return second(tunnel.WantSyncNext(ctx, "s", []byte("task"))) }},
		{"tunnel keeps the sync", func() error { return tunnel.HoldSync(ctx, "s") }},
		{"tunnel withdraws the sync", func() error { return tunnel.WithdrawSync(ctx, "s") }},
		{"tunnel puts a view", func() error { return tunnel.PutView(ctx, box, "s", []byte("view")) }},
		{"runner reads the view", func() error { return second(runner.View(ctx, box, "s")) }},
		{"runner wishes", func() error { return runner.Wish(ctx, "s", "c") }},
		{"tunnel drops the view", func() error { return tunnel.DropView(ctx, "s") }},
		{"tunnel leaves the sync", func() error { return tunnel.LeaveSync(ctx, "s", "t") }},
		{"tunnel leaves", func() error { return tunnel.StopPolling(ctx, "t") }},
		{"the scaler counts", func() error {
			return e.client(t, "scaler", e.passwords["scaler"]).Eval(ctx, "return redis.call('llen', KEYS[1])", []string{"pre:queue"}).Err()
		}},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Errorf("%s: %v", s.what, err)
		}
	}
	e.wakes(t, tunnel, runner)
}

// What the services have written is there after a restart: they write in
// transactions and scripts, which Redis reads back under the rules of a user.
func TestRedisKeepsJobsOverARestart(t *testing.T) {
	e := startEmbedded(t)
	ctx := t.Context()
	if err := e.as(t, "tunnel").Accept(ctx, 1, []byte("payload"), "r/0"); err != nil {
		t.Fatal(err)
	}
	if err := e.as(t, "tunnel").Enqueue(ctx, 1, []byte("grant")); err != nil {
		t.Fatal(err)
	}
	e.stop()
	e.start(t)
	if got, err := e.as(t, "tunnel").Payload(ctx, 1); err != nil || string(got) != "payload" {
		t.Errorf("the payload is %q (%v)", got, err)
	}
	if got, err := e.as(t, "runner").Next(ctx, time.Second); err != nil || got != 1 {
		t.Errorf("the queue has job %d (%v)", got, err)
	}
}

// wakes sends a message from the runner to the tunnel.
func (e *embedded) wakes(t *testing.T, tunnel, runner *ledger.Ledger) {
	t.Helper()
	heard := make(chan int64, 1)
	failed := make(chan error, 1)
	go func() {
		failed <- tunnel.Wakes(t.Context(), func(id int64) {
			select {
			case heard <- id:
			default:
			}
		})
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if err := runner.Wake(t.Context(), 7); err != nil {
			t.Fatal(err)
		}
		select {
		case id := <-heard:
			if id != 7 {
				t.Errorf("heard %d", id)
			}
			return
		case err := <-failed:
			t.Fatal(err)
		case <-tick.C:
		}
	}
	t.Error("the tunnel hears nothing")
}

func second[T any](_ T, err error) error { return err }

// but is nil for the one error that is wanted: the ledger has answered.
func but(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("%w, want %w", err, want)
}

// The rules follow the table of keys in pkg/ledger: who writes a key may write
// it, and who neither writes nor reads it may not read it.
func TestRulesOfRedisFollowTheTableOfKeys(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "pkg", "ledger", "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^//\t(\S+)\s+(zset|list|string|hash)\s+(tunnel|runner|tunnel, runner|runner, tunnel)\s+(tunnel|runner|both)\s`).FindAllStringSubmatch(string(source), -1)
	if len(rows) < 19 {
		t.Fatalf("only %d keys found: this test no longer knows the table", len(rows))
	}
	r := render(t, combinations["without-tls"])
	for _, row := range rows {
		key := "towline:" + regexp.MustCompile(`<[a-z]+>`).ReplaceAllString(row[1], "7")
		for _, user := range []string{"tunnel", "runner"} {
			rules := userRules(t, r, user)
			if writes := strings.Contains(row[3], user); writes && !rules.may(key, true) {
				t.Errorf("the %s may not write %s", user, row[1])
			}
			reads := row[4] == "both" || row[4] == user
			if reads && !rules.may(key, false) {
				t.Errorf("the %s may not read %s", user, row[1])
			}
			// A job's script declares all keys of the job, whoever runs it.
			ofJob := strings.HasPrefix(row[1], "{<id>}") || strings.HasPrefix(row[1], "{sync:") && !strings.HasSuffix(row[1], ":follow")
			if !reads && !strings.Contains(row[3], user) && !ofJob && row[1] != "revoked:<jti>" && rules.may(key, false) {
				t.Errorf("the %s may read %s for nothing", user, row[1])
			}
		}
	}
}

// aclRules are a user's patterns of keys.
type aclRules []string

func userRules(t *testing.T, r rendered, user string) aclRules {
	t.Helper()
	for line := range strings.Lines(find[corev1.ConfigMap](t, r, "ConfigMap/towline-redis").Data["users"]) {
		if rules, ok := strings.CutPrefix(line, user+" "); ok {
			return strings.Fields(rules)
		}
	}
	t.Fatalf("no rules for %s", user)
	return nil
}

func (a aclRules) may(key string, write bool) bool {
	return slices.ContainsFunc(a, func(rule string) bool {
		pattern, full := strings.CutPrefix(rule, "~")
		if !full {
			var reads bool
			if pattern, reads = strings.CutPrefix(rule, "%R~"); !reads || write {
				return false
			}
		}
		// Redis' globs are those of path.Match here: a key has no slash.
		ok, err := path.Match(pattern, key)
		return err == nil && ok
	})
}

// What a user does not need it may not do.
func TestUsersOfRedisMayDoNothingElse(t *testing.T) {
	e := startEmbedded(t)
	ctx := t.Context()
	tests := map[string]struct {
		user string
		do   func(c *redis.Client) error
	}{
		"the runner reads the cursor of polling": {"runner", func(c *redis.Client) error { return c.Get(ctx, "pre:{poll}:cursor").Err() }},
		"the runner leads polling":               {"runner", func(c *redis.Client) error { return c.Set(ctx, "pre:{poll}", "r", 0).Err() }},
		"the runner listens":                     {"runner", func(c *redis.Client) error { return c.Do(ctx, "SUBSCRIBE", "pre:wake").Err() }},
		"the runner reads traces at will":        {"runner", func(c *redis.Client) error { return c.GetRange(ctx, "pre:{1}:trace", 0, 1).Err() }},
		"the runner writes a view":               {"runner", func(c *redis.Client) error { return c.Set(ctx, "pre:{sync:s}:view", "v", 0).Err() }},
		"the tunnel revokes":                     {"tunnel", func(c *redis.Client) error { return c.Set(ctx, "pre:revoked:x", "1", 0).Err() }},
		"the tunnel publishes elsewhere":         {"tunnel", func(c *redis.Client) error { return c.Publish(ctx, "other:wake", "1").Err() }},
		"the tunnel reads another release":       {"tunnel", func(c *redis.Client) error { return c.Get(ctx, "other:{1}").Err() }},
		"the tunnel uses a script to do so":      {"tunnel", func(c *redis.Client) error { return c.Eval(ctx, "return redis.call('GET', 'other:x')", nil).Err() }},
		"the tunnel lists keys":                  {"tunnel", func(c *redis.Client) error { return c.Keys(ctx, "*").Err() }},
		"the tunnel deletes everything":          {"tunnel", func(c *redis.Client) error { return c.FlushAll(ctx).Err() }},
		"the runner changes rules":               {"runner", func(c *redis.Client) error { return c.Do(ctx, "ACL", "SETUSER", "runner", "allkeys").Err() }},
		"the runner changes the configuration":   {"runner", func(c *redis.Client) error { return c.ConfigSet(ctx, "dir", "/tmp").Err() }},
		"the scaler reads jobs":                  {"scaler", func(c *redis.Client) error { return c.Get(ctx, "pre:{1}").Err() }},
		"the scaler writes the queue":            {"scaler", func(c *redis.Client) error { return c.RPush(ctx, "pre:queue", 1).Err() }},
		"health reads":                           {"health", func(c *redis.Client) error { return c.Get(ctx, "pre:queue").Err() }},
	}
	for what, tt := range tests {
		password := e.passwords[tt.user]
		if tt.user == "health" {
			password = "anything"
		}
		if err := tt.do(e.client(t, tt.user, password)); err == nil || !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "can't access") {
			t.Errorf("%s: %v, want a refusal", what, err)
		}
	}
	for user, password := range map[string]string{"default": "", "tunnel": "wrong", "runner": e.passwords["tunnel"]} {
		if err := e.client(t, user, password).Ping(ctx).Err(); err == nil {
			t.Errorf("%s comes in with the password %q", user, password)
		}
	}
	next := e.client(t, "runner", e.passwords["runner-password-next"])
	if err := errors.Join(next.Ping(ctx).Err(), e.client(t, "runner", "the one before").Ping(ctx).Err()); err != nil {
		t.Errorf("the next and the previous password: %v", err)
	}
}

// The rules lie in a ConfigMap, the passwords do not.
func TestPasswordsOfRedisAreInTheSecretOnly(t *testing.T) {
	r := render(t, combinations["minimal"])
	for key, value := range find[corev1.Secret](t, r, "Secret/towline-redis").Data {
		hash := fmt.Sprintf("%x", sha256.Sum256(value))
		for name, content := range find[corev1.ConfigMap](t, r, "ConfigMap/towline-redis").Data {
			if strings.Contains(content, string(value)) || strings.Contains(content, hash) {
				t.Errorf("%s shows %s", name, key)
			}
		}
	}
}
