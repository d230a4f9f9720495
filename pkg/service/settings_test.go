package service_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/service"
)

// options has one option of every kind.
type options struct {
	URL    string
	Slots  int
	Agent  int64
	Prune  bool
	Wait   time.Duration
	Tags   []string
	Others []string
}

func bind(s *service.Settings, o *options) {
	s.String(&o.URL, "redis-url", "redis://localhost/0", "`URL` of Redis")
	s.Int(&o.Slots, "slots", 10, "jobs at a time")
	s.Int64(&o.Agent, "agent-id", 0, "number of the agent in GitLab")
	s.Bool(&o.Prune, "prune", true, "delete what is gone from Git")
	s.Duration(&o.Wait, "poll-interval", 3*time.Second, "pause between polls")
	s.List(&o.Tags, "tags", "tags of the runner")
	s.List(&o.Others, "other-tags", "more tags")
}

func environment(env map[string]string) func(string) string {
	return func(k string) string { return env[k] }
}

func parse(env map[string]string, args ...string) (options, string, error) {
	var o options
	var out bytes.Buffer
	s := service.NewSettings("tunnel", environment(env), &out)
	bind(s, &o)
	err := s.Parse(args)
	return o, out.String(), err
}

func TestSettingsPrecedence(t *testing.T) {
	defaults := options{URL: "redis://localhost/0", Slots: 10, Prune: true, Wait: 3 * time.Second}
	env := map[string]string{
		"TOWLINE_REDIS_URL": "redis://env/1", "TOWLINE_SLOTS": "20", "TOWLINE_AGENT_ID": "9000000000",
		"TOWLINE_PRUNE": "false", "TOWLINE_POLL_INTERVAL": "1m30s", "TOWLINE_TAGS": " a, b,,c ,", "TOWLINE_OTHER_TAGS": "x",
	}
	fromEnv := options{"redis://env/1", 20, 9000000000, false, 90 * time.Second, []string{"a", "b", "c"}, []string{"x"}}
	flags := []string{"--redis-url=redis://flag/2", "-slots", "30", "--agent-id=7", "--prune", "--poll-interval=5s", "--tags=d,e", "--other-tags="}
	fromFlags := options{"redis://flag/2", 30, 7, true, 5 * time.Second, []string{"d", "e"}, nil}
	tests := map[string]struct {
		env  map[string]string
		args []string
		want options
	}{
		"defaults hold when nothing is set": {want: defaults},
		"environment beats default":         {env: env, want: fromEnv},
		"flag beats default":                {args: flags, want: fromFlags},
		"flag beats environment":            {env: env, args: flags, want: fromFlags},
		"empty environment is not set":      {env: map[string]string{"TOWLINE_SLOTS": "", "TOWLINE_REDIS_URL": ""}, want: defaults},
		"empty flag is set":                 {args: []string{"--redis-url="}, want: options{Slots: 10, Prune: true, Wait: 3 * time.Second}},
		"other environment is ignored":      {env: map[string]string{"SLOTS": "1", "TOWLINE_SLOTZ": "2", "towline_slots": "3"}, want: defaults},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, out, err := parse(tt.env, tt.args...)
			if err != nil || out != "" {
				t.Fatalf("error %v, output %q", err, out)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSettingsFaultsAreOneLineEachAndComeTogether(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		args []string
		want []string
	}{
		"unknown option": {
			args: []string{"--slotz=3"},
			want: []string{`flag provided but not defined: -slotz; -h lists the options`},
		},
		"value of the wrong kind": {
			args: []string{"--slots=many"},
			want: []string{`invalid value "many" for flag -slots: parse error; -h lists the options`},
		},
		"value missing": {
			args: []string{"--slots"},
			want: []string{`flag needs an argument: -slots; -h lists the options`},
		},
		"stray argument": {
			args: []string{"--slots=3", "run", "--prune"},
			want: []string{`unexpected argument "run"; options look like --name=value`},
		},
		"every kind in the environment, and a flag": {
			env: map[string]string{
				"TOWLINE_SLOTS": "1.5", "TOWLINE_AGENT_ID": "12x", "TOWLINE_PRUNE": "perhaps", "TOWLINE_POLL_INTERVAL": "3",
			},
			args: []string{"--nope"},
			want: []string{
				`TOWLINE_SLOTS="1.5": parse error`,
				`TOWLINE_AGENT_ID="12x": parse error`,
				`TOWLINE_PRUNE="perhaps": parse error`,
				`TOWLINE_POLL_INTERVAL="3": parse error`,
				`flag provided but not defined: -nope; -h lists the options`,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, out, err := parse(tt.env, tt.args...)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Error(diff)
			}
			if out != "" {
				t.Errorf("a wrong option prints %q; want nothing but the error", out)
			}
		})
	}
}

func TestSettingsHelpNamesEveryOptionAndItsEnvironment(t *testing.T) {
	for _, arg := range []string{"-h", "--help"} {
		_, out, err := parse(map[string]string{"TOWLINE_REDIS_URL": "redis://:hunter2@redis/0"}, arg)
		if !errors.Is(err, flag.ErrHelp) {
			t.Fatalf("%s: error = %v, want flag.ErrHelp", arg, err)
		}
		want := `Usage: tunnel [options]
       tunnel --version

Options, each with its environment variable:
  --agent-id int  TOWLINE_AGENT_ID
      number of the agent in GitLab (default 0)
  --other-tags value  TOWLINE_OTHER_TAGS
      more tags
  --poll-interval duration  TOWLINE_POLL_INTERVAL
      pause between polls (default 3s)
  --prune  TOWLINE_PRUNE
      delete what is gone from Git (default true)
  --redis-url URL  TOWLINE_REDIS_URL
      URL of Redis (default redis://localhost/0)
  --slots int  TOWLINE_SLOTS
      jobs at a time (default 10)
  --tags value  TOWLINE_TAGS
      tags of the runner
`
		if diff := cmp.Diff(want, out); diff != "" {
			t.Errorf("%s: %s", arg, diff)
		}
	}
}

func TestSettingsNamesAreSorted(t *testing.T) {
	var o options
	s := service.NewSettings("tunnel", environment(nil), &bytes.Buffer{})
	bind(s, &o)
	want := []string{"agent-id", "other-tags", "poll-interval", "prune", "redis-url", "slots", "tags"}
	if diff := cmp.Diff(want, s.Names()); diff != "" {
		t.Error(diff)
	}
}

func TestEnvName(t *testing.T) {
	for option, want := range map[string]string{
		"redis-url": "TOWLINE_REDIS_URL", "slots": "TOWLINE_SLOTS", "gitlab-ca-file": "TOWLINE_GITLAB_CA_FILE",
	} {
		if got := service.EnvName(option); got != want {
			t.Errorf("EnvName(%s) = %s, want %s", option, got, want)
		}
	}
}

func TestSettingsKnowWhereTheirValuesComeFrom(t *testing.T) {
	env := map[string]string{"TOWLINE_B": "x, y", "TOWLINE_C": "env"}
	s := service.NewSettings("x", func(k string) string { return env[k] }, io.Discard)
	var a, c, d string
	var b []string
	s.String(&a, "a", "default", "")
	s.List(&b, "b", "")
	s.String(&c, "c", "", "")
	s.String(&d, "d", "", "")
	if err := s.Parse([]string{"--c=flag", "--d", "flag"}); err != nil {
		t.Fatal(err)
	}
	want := []service.Setting{
		{Name: "a", Value: "default"},
		{Name: "b", Value: "x,y", Origin: "TOWLINE_B"},
		{Name: "c", Value: "flag", Origin: "--c"},
		{Name: "d", Value: "flag", Origin: "--d"},
	}
	if diff := cmp.Diff(want, s.Each()); diff != "" {
		t.Error(diff)
	}
}
