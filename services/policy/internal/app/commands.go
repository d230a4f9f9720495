package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/rules"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/policy/internal/configuration"
	"github.com/towline/towline/services/policy/internal/decide"
	"github.com/towline/towline/services/policy/internal/explain"
	"github.com/towline/towline/services/policy/internal/lint"
	"github.com/towline/towline/services/policy/internal/records"
)

// commands are the words that may stand in the first place of the command line.
var commands = map[string]service.RunFunc{"lint": lint.Run, "explain": explainJob, "show": show}

const commandsHelp = `
Commands, instead of options; each has --help:
  lint FILE|DIR...  checks config.yaml, towline.yaml and rules before they are in force
  explain           says what became of a job, or what would become of one
  show              says what is in force and where it comes from
`

func command(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	run := commands[args[0]]
	if run == nil {
		return service.Status{Code: explain.ExitUnknown, Err: fmt.Errorf("unknown command %q: the commands are %s; without one the service runs",
			args[0], strings.Join(slices.Sorted(maps.Keys(commands)), ", "))}
	}
	return run(ctx, args[1:], getenv, out)
}

func explainJob(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	var c explain.Command
	if err := asked(&c, "policy explain", c.Bind, args, getenv, out); err != nil {
		return err
	}
	return c.Explain(ctx, out)
}

func show(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	var c explain.Command
	if err := asked(&c, "policy show", c.BindFormat, args, getenv, out); err != nil {
		return err
	}
	return c.Show(ctx, out)
}

// asked reads the command line of a command that the running service answers, or
// the files that --config names on the command line.
func asked(c *explain.Command, name string, bind func(*service.Settings), args []string, getenv func(string) string, out io.Writer) error {
	s := &settings{}
	b := service.NewSettings(name, getenv, out)
	s.bind(b)
	bind(b)
	if err := b.Parse(args); err != nil {
		return service.Status{Code: explain.ExitUnknown, Err: err}
	}
	s.given = slices.DeleteFunc(b.Each(), func(g service.Setting) bool { return !slices.Contains(serviceOptions(), g.Name) })
	c.Socket, c.Offline = s.explainSocket, s.offline
	if slices.ContainsFunc(s.given, func(g service.Setting) bool { return g.Name == "config" && g.Origin == "--config" }) {
		c.Socket = ""
	}
	return nil
}

// serviceOptions are the names of the service's own options.
func serviceOptions() []string {
	b := service.NewSettings("policy", func(string) string { return "" }, io.Discard)
	(&settings{}).bind(b)
	return b.Names()
}

// offline decides with settings and files alone, as the service would.
func (s *settings) offline() (*explain.Policy, error) {
	if s.config == "" {
		return nil, errors.New("no running policy is known here: run this in its pod, or give the files with --config and the agent with --agent")
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	loaded, err := agentconfig.Load(s.config, agentconfig.Options{AllowToken: true})
	if err != nil {
		return nil, err
	}
	var owner *rules.Set
	if s.rules != "" {
		if owner, err = rules.Load(s.rules); err != nil {
			return nil, err
		}
	}
	c := decide.Config{Config: loaded.Config, Revision: loaded.Revision, Source: configuration.Local}
	return s.explainer(explainable{
		config: func() (decide.Config, error) { return c, nil },
		owner:  func() (*rules.Set, error, error) { return owner, nil, nil },
	}), nil
}

// explainable is what explain looks at.
type explainable struct {
	config  func() (decide.Config, error)
	owner   func() (set *rules.Set, faulty, err error)
	decided *records.Ring
}

func (s *settings) explainer(x explainable) *explain.Policy {
	return &explain.Policy{
		Decide: func(e decide.Evidence) (policyapi.Decision, error) {
			c, err := x.config()
			if err != nil {
				return policyapi.Decision{}, err
			}
			owner, _, err := x.owner()
			if err != nil {
				return policyapi.Decision{}, err
			}
			return decide.Decide(s.decide, c, owner, e), nil
		},
		Config: x.config, Rules: x.rules, Settings: s.given, AgentID: s.decide.Agent.ID, Records: x.decided,
	}
}

// rules describes the rules in force and what is wrong with newer ones.
func (x explainable) rules() []string {
	set, faulty, err := x.owner()
	if err != nil {
		return []string{"no job is let in: " + err.Error()}
	}
	lines := set.List()
	if faulty != nil {
		lines = append(lines, "the newest version is not in force: "+faulty.Error())
	}
	return lines
}

// explaining is the stage that answers the commands.
func (s *settings) explaining(ctx context.Context, x explainable, log *slog.Logger) (func(context.Context) error, error) {
	if s.explainSocket == "" {
		return func(ctx context.Context) error { <-ctx.Done(); return nil }, nil
	}
	l, err := explain.Listen(ctx, s.explainSocket)
	if err != nil {
		return nil, err
	}
	handler := s.explainer(x).Handler()
	return func(ctx context.Context) error { return service.Serve(ctx, l, handler, log) }, nil
}
