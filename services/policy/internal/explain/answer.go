package explain

import (
	"slices"

	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/policy/internal/decide"
	"github.com/towline/towline/services/policy/internal/records"
)

// Policy is what answers are made of: the running service, or its settings and
// files alone.
type Policy struct {
	// Decide is the decision about jobs with all that is in force now.
	Decide func(decide.Evidence) (policyapi.Decision, error)
	// Config is the configuration in force.
	Config func() (decide.Config, error)
	// Rules are the cluster owner's, described in one line each.
	Rules func() []string
	// Settings are the options, AgentID the agent's id in GitLab.
	Settings []service.Setting
	AgentID  int64
	// Records are the decisions so far; nil when nothing runs.
	Records *records.Ring
}

// Answer is the decision about a job that does not exist.
type Answer struct {
	Question Question           `json:"question"`
	Decision policyapi.Decision `json:"decision"`
	Config   Source             `json:"configuration"`
}

// Source names a configuration.
type Source struct {
	From     string   `json:"from,omitempty"` // local or repository
	File     string   `json:"file,omitempty"`
	Towline  string   `json:"towline,omitempty"`
	Revision string   `json:"revision,omitempty"`
	Faults   []string `json:"faults,omitempty"` // why the newest is not in force
}

func sourceOf(c decide.Config) Source {
	s := Source{From: c.Source, Revision: c.Revision, Faults: c.Faults}
	if c.Config != nil {
		s.File, s.Towline = c.File, c.Towline.File
	}
	return s
}

// Explain answers a question.
func (p *Policy) Explain(q Question) (*Answer, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	c, err := p.Config()
	if err != nil {
		return nil, err
	}
	d, err := p.Decide(q.Evidence(p.AgentID))
	if err != nil {
		return nil, err
	}
	return &Answer{Question: q, Decision: d, Config: sourceOf(c)}, nil
}

// Overview is everything that decisions are made with.
type Overview struct {
	Settings []service.Setting `json:"settings"`
	Config   Source            `json:"configuration"`
	// Fault is why there is no configuration.
	Fault   string   `json:"fault,omitempty"`
	Entries []Entry  `json:"entries"`
	Refine  []Entry  `json:"refine"`
	Rules   []string `json:"rules"`
}

// Entry is one entry of a file, in words.
type Entry struct {
	Place string `json:"place"` // file and line, or why it is there without one
	For   string `json:"for"`
	Says  string `json:"says"`
}

// Show is the overview.
func (p *Policy) Show() *Overview {
	o := &Overview{Settings: p.Settings, Rules: p.Rules(), Entries: []Entry{}, Refine: []Entry{}}
	c, err := p.Config()
	o.Config = sourceOf(c)
	if err != nil {
		o.Fault = err.Error()
	}
	if c.Config != nil {
		o.Entries, o.Refine = entries(c, p.agentAllowed()), refinements(c)
	}
	return o
}

// agentAllowed says whether jobs may be the agent itself.
func (p *Policy) agentAllowed() bool {
	return slices.ContainsFunc(p.Settings, func(s service.Setting) bool { return s.Name == "agent-service-account" && s.Value != "" })
}
