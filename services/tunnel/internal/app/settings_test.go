package app

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/pkg/service"
)

// every is each option with a value that is not its default.
var every = map[string]string{
	"gitlab-url": "https://gitlab.example.com", "gitlab-ca-file": "/ca", "token-file": "/token", "config": "/config",
	"agent": "a/b:c", "config-token-file": "/ct", "config-interval": "7s", "config-optional": "true", "redis-prefix": "p", "tls-cert-file": "/cert", "tls-key-file": "/key", "ca-file": "/cas",
	"seal-key-file": "/seal", "policy-url": "http://p:1", "service-token-file": "/st", "listen": ":1", "egress-listen": ":2",
	"egress-hosts": "h:1,i:2", "name": "n", "poll-interval": "8s", "long-poll": "9s", "queue-wait": "10s", "job-router": "true", "cache": "true",
	"gitops": "true", "gitops-token-file": "/gt", "gitops-tokens": "a/b=/abt", "gitops-interval": "11s", "log-format": "text", "log-level": "debug",
}

// TestEveryOptionReachesItsField sets each option and looks for its value in the
// settings, and finds no field that no option sets.
func TestEveryOptionReachesItsField(t *testing.T) {
	defaults, err := parse([]string{"--gitlab-url=https://x", "--agent=x/y:z", "--seal-key-file=/x"}, none, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var args, envs []string
	for name, value := range every {
		args = append(args, "--"+name+"="+value)
		envs = append(envs, service.EnvName(name), value)
	}
	byFlag, err := parse(args, none, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	byEnv, err := parse(nil, env(envs...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(byFlag, byEnv, cmp.AllowUnexported(settings{})); diff != "" {
		t.Errorf("flags and environment differ:\n%s", diff)
	}
	typ := reflect.TypeFor[settings]()
	const redis = 1 // one field, whose options pkg/redislink tests
	if typ.NumField() != len(every)+redis {
		t.Errorf("%d fields for %d options", typ.NumField(), len(every))
	}
	var found []string
	for i := range typ.NumField() {
		if typ.Field(i).Name == "redis" {
			continue
		}
		got, def := reflect.ValueOf(*byFlag).Field(i), reflect.ValueOf(*defaults).Field(i)
		if text(got) == text(def) || got.IsZero() {
			t.Errorf("field %s has its default", typ.Field(i).Name)
		}
		found = append(found, text(got))
	}
	slices.Sort(found)
	if want := slices.Sorted(maps.Values(every)); !slices.Equal(want, found) {
		t.Errorf("fields hold %v, want %v", found, want)
	}
}

// text is a field's value as it was written.
func text(v reflect.Value) string {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return time.Duration(v.Int()).String()
	case v.Kind() == reflect.Slice:
		var parts []string
		for i := range v.Len() {
			parts = append(parts, v.Index(i).String())
		}
		return strings.Join(parts, ",")
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return v.String()
}

func TestHelpNamesEveryOption(t *testing.T) {
	var out outputtest.Buffer
	if _, err := parse([]string{"-h"}, none, &out); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for name := range every {
		if !strings.Contains(out.String(), "--"+name+" ") || !strings.Contains(out.String(), service.EnvName(name)) {
			t.Errorf("help lacks --%s", name)
		}
	}
}

func TestFaultsComeTogether(t *testing.T) {
	_, err := parse([]string{
		"--gitlab-url=gitlab.example.com", "--agent=main", "--redis-url=localhost", "--egress-hosts=a,b:1,:2,c:x,d:0", "--poll-interval=0s",
		"--config-interval=-1s", "--long-poll=10m", "--queue-wait=0s",
	}, none, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"--seal-key-file is missing", "--gitlab-url is not an address", "--agent=main: want group/project:name", "--redis-url is not a Redis URL",
		`"a": want host:port`, `":2": want host:port`, `"c:x": want host:port`, `"d:0": want host:port`,
		"--poll-interval=0s", "--config-interval=-1s", "--long-poll=10m0s", "--queue-wait=0s",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "b:1") {
		t.Error("a good host is refused")
	}
	_, err = parse(nil, none, io.Discard)
	for _, want := range []string{"--gitlab-url is missing", "--agent is missing", "--seal-key-file is missing", "TOWLINE_AGENT"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestAllowedHosts(t *testing.T) {
	for url, want := range map[string]string{
		"https://GitLab.example.com":       "gitlab.example.com:443",
		"http://gitlab.example.com/ci":     "gitlab.example.com:80",
		"https://gitlab.example.com:8443/": "gitlab.example.com:8443",
		"https://[2001:DB8::1]/":           "[2001:db8::1]:443",
		"http://[2001:db8::1]:8080":        "[2001:db8::1]:8080",
	} {
		c := settings{gitlabURL: url, egressHosts: []string{"Proxy.Example.com:1", "[::1]:2"}}
		got, err := c.allowedHosts()
		if diff := cmp.Diff(map[string]bool{want: true, "proxy.example.com:1": true, "[::1]:2": true}, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", url, err, diff)
		}
	}
}

func TestTokenSourcesInTheirOrder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tokenFile := write("token", "\n  glrt-file \n")
	config := filepath.Dir(write("config.yaml", "agent:\n  token: glrt-config\n"))
	tests := map[string]struct {
		c     settings
		env   []string
		want  string
		error string
	}{
		"file first":       {settings{tokenFile: tokenFile, config: config}, []string{"AGENT_SECRET_KEY", "glrt-key", "AGENTK_TOKEN", "glrt-agentk"}, "glrt-file", ""},
		"then key":         {settings{config: config}, []string{"AGENT_SECRET_KEY", "glrt-key\n", "AGENTK_TOKEN", "glrt-agentk"}, "glrt-key", ""},
		"then agentk":      {settings{config: config}, []string{"AGENT_SECRET_KEY", " ", "AGENTK_TOKEN", "glrt-agentk"}, "glrt-agentk", ""},
		"then config":      {settings{config: config}, nil, "glrt-config", ""},
		"none":             {settings{}, nil, "", "no runner token: set AGENT_SECRET_KEY or --token-file"},
		"config without":   {settings{config: write("empty.yaml", "")}, nil, "", "no runner token"},
		"config missing":   {settings{config: filepath.Join(dir, "nowhere")}, nil, "", "--config: "},
		"config faulty":    {settings{config: write("faulty.yaml", "agent:\n  tokn: glrt-x\n")}, nil, "", "faulty.yaml:2:3"},
		"file missing":     {settings{tokenFile: filepath.Join(dir, "nowhere")}, []string{"AGENT_SECRET_KEY", "glrt-key"}, "", "--token-file: "},
		"file empty":       {settings{tokenFile: write("blank", " \n")}, []string{"AGENT_SECRET_KEY", "glrt-key"}, "", "is empty"},
		"agent token":      {settings{}, []string{"AGENT_SECRET_KEY", "glagent-x_secret"}, "", "is an agent token (glagent-)"},
		"agent token file": {settings{tokenFile: write("agent", "glagent-x_secret")}, nil, "", "use its glrt- token"},
		"agent in config":  {settings{config: write("agent.yaml", "agent:\n  token: glagent-x_secret\n")}, nil, "", "is an agent token"},
		"two lines":        {settings{tokenFile: write("two", "glrt-a_secret\nglrt-b_secret\n")}, nil, "", "line breaks"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.c.runnerToken(env(tt.env...), slog.New(slog.DiscardHandler))
			if tt.error != "" {
				if err == nil || !strings.Contains(err.Error(), tt.error) || strings.Contains(err.Error(), "secret\n") || strings.Contains(err.Error(), "x_secret") {
					t.Errorf("error %v, want %q", err, tt.error)
				}
				return
			}
			if err != nil || got() != tt.want {
				t.Errorf("token %q, %v; want %q", got(), err, tt.want)
			}
		})
	}
}

func TestTokenInAConfigurationIsWarnedAbout(t *testing.T) {
	var out outputtest.Buffer
	c := settings{config: file(t, "config.yaml", "agent:\n  token: glrt-config_secret\n")}
	if _, err := c.runnerToken(none, slog.New(slog.NewTextHandler(&out, nil))); err != nil {
		t.Fatal(err)
	}
	if log := out.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "a Secret is the place for it") || strings.Contains(log, "secret\"") || strings.Contains(log, "glrt-") {
		t.Errorf("log %q", log)
	}
}

func TestTokenFileIsReadAgain(t *testing.T) {
	path := file(t, "token", "glrt-one")
	c := settings{tokenFile: path}
	got, err := c.runnerToken(none, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ content, want string }{
		{"glrt-two\n", "glrt-two"}, {"", "glrt-two"}, {"glagent-wrong", "glrt-two"}, {"glrt-three", "glrt-three"},
	} {
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got() != tt.want {
			t.Errorf("file holds %q, token is %q, want %q", tt.content, got(), tt.want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got() != "glrt-three" {
		t.Errorf("after the file is gone the token is %q", got())
	}
}
