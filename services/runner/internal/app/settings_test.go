package app

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/redislink"
)

func noEnv(string) string { return "" }

// chosen has a value that is no default for every setting.
func chosen() *settings {
	return &settings{
		redis: redislink.Options{URL: "redis://:pw@127.0.0.1:1/0"}, redisPrefix: "prefix", caFile: "/cas", egressTLS: true, sealKeyFile: "/seal", policyURL: "https://policy:1", egressAddress: "egress:1",
		kubeconfig: "/kubeconfig", gitCAFile: "/ca", rules: "/rules", concurrent: 7, syncs: 4, warm: 3, logLimit: 12345, scratchLimit: 5 << 30, memoryLimit: 6 << 30, workDir: "/work-dir", sandbox: "off", toolbox: []string{os.TempDir()},
		drainTimeout: 5 * time.Second, listen: "127.0.0.1:1", name: "my runner", logFormat: "text", logLevel: "debug", debugTrace: false, featureFlags: map[string]bool{"FF_SCRIPT_SECTIONS": true},
		cacheDir: "", cacheMaxAge: time.Hour, cacheMaxSize: 1 << 20, cacheS3Endpoint: "https://s3:1", cacheS3Bucket: "b", cacheS3Region: "r",
		systemNames: []string{"system:masters", "system:nodes"}, auditWebhook: "https://audit:1/x", auditWebhookTokenFile: "/audit", auditWebhookCAFile: "/audit-ca",
		cacheS3AccessKeyFile: "/access", cacheS3SecretKeyFile: "/secret", cacheS3PathStyle: false,
	}
}

// options are the settings as options, without values.
func options() map[string]any {
	c := chosen()
	return map[string]any{
		"redis-url": c.redis.URL, "ca-file": c.caFile, "egress-tls": c.egressTLS, "redis-prefix": c.redisPrefix, "seal-key-file": c.sealKeyFile, "policy-url": c.policyURL,
		"egress-address": c.egressAddress, "kubeconfig": c.kubeconfig, "git-ca-file": c.gitCAFile, "rules": c.rules, "concurrent": c.concurrent, "syncs": c.syncs,
		"warm": c.warm, "log-limit": c.logLimit, "scratch-limit": c.scratchLimit, "memory-limit": c.memoryLimit, "work-dir": c.workDir, "sandbox": c.sandbox, "toolbox": strings.Join(c.toolbox, ":"), "drain-timeout": c.drainTimeout,
		"listen": c.listen, "name": c.name, "log-format": c.logFormat, "log-level": c.logLevel, "debug-trace": c.debugTrace, "feature-flags": "FF_SCRIPT_SECTIONS=true",
		"cache-dir": c.cacheDir, "cache-max-age": c.cacheMaxAge, "cache-max-size": c.cacheMaxSize, "cache-s3-endpoint": c.cacheS3Endpoint,
		"system-names": strings.Join(c.systemNames, ","), "audit-webhook": c.auditWebhook, "audit-webhook-token-file": c.auditWebhookTokenFile, "audit-webhook-ca-file": c.auditWebhookCAFile,
		"cache-s3-bucket": c.cacheS3Bucket, "cache-s3-region": c.cacheS3Region, "cache-s3-access-key-file": c.cacheS3AccessKeyFile,
		"cache-s3-secret-key-file": c.cacheS3SecretKeyFile, "cache-s3-path-style": c.cacheS3PathStyle,
	}
}

func TestEachSettingCanBeGivenBothWays(t *testing.T) {
	if fields := reflect.TypeFor[settings]().NumField(); fields != len(options()) {
		t.Fatalf("%d settings, %d options here", fields, len(options()))
	}
	var args []string
	env := map[string]string{}
	for name, value := range options() {
		args = append(args, fmt.Sprintf("--%s=%v", name, value))
		env["TOWLINE_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = fmt.Sprint(value)
	}
	for way, parsed := range map[string]func() (*settings, error){
		"flags":       func() (*settings, error) { return parse(args, noEnv, io.Discard) },
		"environment": func() (*settings, error) { return parse(nil, func(k string) string { return env[k] }, io.Discard) },
	} {
		got, err := parsed()
		if err != nil {
			t.Errorf("%s: %v", way, err)
			continue
		}
		if diff := cmp.Diff(chosen(), got, cmp.AllowUnexported(settings{})); diff != "" {
			t.Errorf("%s: %s", way, diff)
		}
	}
}

func TestTheDefaultsAreGoodButForTheKey(t *testing.T) {
	if _, err := parse([]string{"--seal-key-file=/k"}, noEnv, io.Discard); err != nil {
		t.Error(err)
	}
	_, err := parse(nil, noEnv, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "openssl rand -base64 32") || !strings.Contains(err.Error(), "TOWLINE_SEAL_KEY_FILE") {
		t.Errorf("without a key: %v", err)
	}
}

func TestAllFaultsAreNamedTogether(t *testing.T) {
	_, err := parse([]string{
		"--concurrent=0", "--warm=-1", "--log-limit=0", "--scratch-limit=1", "--memory-limit=1", "--sandbox=maybe", "--policy-url=policy:8081", "--egress-address=egress",
		"--work-dir=here", "--drain-timeout=-1s", "--redis-url=localhost:6379", "--system-names=admin", "--audit-webhook-token-file=/t", "--audit-webhook-ca-file=/c",
	}, noEnv, io.Discard)
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, want := range []string{
		"--seal-key-file is missing", "--concurrent=0: use 1 to 1000", "--warm=-1: use 0 or more", "--log-limit=0: use 1 to",
		"--sandbox=maybe: use enforce or off", "--policy-url=policy:8081: use http://", "--egress-address=egress: use host:port",
		"--work-dir=here: use an absolute path", "--drain-timeout=-1s: use 0 or more", "--redis-url is not a Redis URL", "--system-names=admin: only names", "--audit-webhook-token-file=/t: give --audit-webhook", "--audit-webhook-ca-file=/c: give --audit-webhook",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestBoundsOfNumbers(t *testing.T) {
	for _, c := range []struct {
		arg string
		ok  bool
	}{
		{"--concurrent=1000", true},
		{"--concurrent=1001", false},
		{"--concurrent=x", false},
		{"--warm=0", true},
		{"--warm=11", true},
		{"--warm=x", false},
		{fmt.Sprintf("--log-limit=%d", maxLogLimit), true},
		{fmt.Sprintf("--log-limit=%d", maxLogLimit+1), false},
		{"--drain-timeout=0s", true},
		{"--drain-timeout=5", false},
		{"--policy-url=ftp://x", false},
		{"--policy-url=http://", false},
		{"--egress-address=:1", false},
		{"--feature-flags=FF_SCRIPT_SECTIONS=0", true},
		{"--feature-flags=FF_SCRIPT_SECTIONS", false},
		{"--feature-flags=FF_TIMESTAMPS=true", false},
		{"--no-such-option", false},
		{"argument", false},
	} {
		_, err := parse([]string{"--seal-key-file=/k", c.arg}, noEnv, io.Discard)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.arg, err)
		}
	}
}

func TestHelpIsNoFault(t *testing.T) {
	var out strings.Builder
	if _, err := parse([]string{"-h"}, noEnv, &out); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	for name := range options() {
		if !strings.Contains(out.String(), "--"+name+" ") {
			t.Errorf("--%s is not in the help", name)
		}
	}
}
