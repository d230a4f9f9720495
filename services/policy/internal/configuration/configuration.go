package configuration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/strictyaml"
	"github.com/towline/towline/services/policy/internal/decide"
)

// maxRevisions is how many contents from the tunnel are remembered; the oldest
// goes first. One is in use, others occur while a change spreads.
const maxRevisions = 16

var (
	// ErrContentNeeded: the revision is not known here; its content is needed.
	ErrContentNeeded = errors.New("the content of this configuration revision is needed")
	// ErrUnusable: the local configuration cannot be used and never could.
	ErrUnusable = errors.New("the local configuration cannot be used")
)

// Link is told whether a configuration can be used.
type Link interface {
	Up()
	// Remark is Up with something a person should know.
	Remark(what string)
	Down(why error)
}

// The sources of a configuration, as the setting of their order names them.
const (
	Local      = "local"      // files that the cluster's owner gave
	Repository = "repository" // what the tunnel sends from GitLab
)

// Settings say where configurations come from.
type Settings struct {
	// Path is a local file or directory; empty for none.
	Path string
	// Order is which source is asked first. A source is passed over when it has
	// no configuration at all, never because its configuration is faulty. Empty
	// is Local when there is a Path and Repository otherwise.
	Order []string
}

// Validate says what is wrong with the order.
func (s Settings) Validate() error {
	for i, name := range s.Order {
		switch {
		case name != Local && name != Repository:
			return fmt.Errorf("%s: the sources are %s and %s", name, Local, Repository)
		case slices.Contains(s.Order[:i], name):
			return fmt.Errorf("%s is named twice", name)
		case name == Local && s.Path == "":
			return fmt.Errorf("%s needs a file or directory in --config", Local)
		}
	}
	if len(s.Order) > 0 && s.Path != "" && !slices.Contains(s.Order, Local) {
		return fmt.Errorf("--config is given and %s is not named", Local)
	}
	return nil
}

// Source is where configurations come from. Make it with New.
type Source struct {
	log     *slog.Logger
	link    Link
	order   []string
	metrics metrics
	local   *agentconfig.Watcher // nil: the tunnel sends

	mu    sync.Mutex
	known map[string]parsed // by revision
	age   []string          // revisions, oldest first
	good  *decide.Config    // the last one from the repository that could be used
}

// parsed is a content from the tunnel, read once.
type parsed struct {
	config *agentconfig.Config // nil when faulty
	faults strictyaml.Faults
}

// New returns a source. The settings are valid.
func New(settings Settings, link Link, reg prometheus.Registerer, log *slog.Logger) *Source {
	s := &Source{log: log, link: link, order: settings.Order, metrics: newMetrics(reg), known: map[string]parsed{}}
	if len(s.order) == 0 {
		s.order = []string{Repository}
		if settings.Path != "" {
			s.order = []string{Local}
		}
	}
	if settings.Path != "" {
		s.local = agentconfig.NewWatcher(settings.Path, agentconfig.Options{AllowToken: true}, s.changed)
	}
	return s
}

// Run keeps a local configuration up to date until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	if s.local != nil {
		return s.local.Run(ctx)
	}
	s.log.Info("no local configuration is set; waiting for the tunnel to send the one from GitLab")
	s.link.Up()
	<-ctx.Done()
	return nil
}

// changed logs what became of the local files, one line per fault and notice.
func (s *Source) changed(e agentconfig.Event) {
	s.metrics.set(Local, e.Err)
	switch {
	case e.Err == nil:
		s.log.Info("local configuration is in force", "file", e.Loaded.Config.File, "revision", e.Loaded.Revision)
		s.logNotices(e.Loaded.Notices)
		s.link.Up()
	case e.Loaded != nil:
		s.logFaults("the changed configuration cannot be used; the last good one stays in force", e.Err)
		s.link.Remark("the last good configuration is in force: " + firstLine(e.Err).Error())
	case errors.Is(e.Err, agentconfig.ErrMissing) && len(s.order) > 1:
		s.log.Info("there is no local configuration; the one from GitLab is used", service.Err(e.Err))
		s.metrics.set(Local, nil)
		s.link.Remark("there is no local configuration; the one from GitLab is used")
	case s.order[0] != Local:
		s.logFaults("the local configuration cannot be used", e.Err)
		s.link.Remark("the local configuration cannot be used: " + firstLine(e.Err).Error())
	default:
		s.logFaults("the configuration cannot be used; no job is let in until it is repaired", e.Err)
		s.link.Down(firstLine(e.Err))
	}
}

func (s *Source) logNotices(notices []strictyaml.Notice) {
	for _, n := range notices {
		s.log.Info("configuration notice", "notice", n.String())
	}
}

func (s *Source) logFaults(message string, err error) {
	for _, line := range lines(err) {
		s.log.Error(message, service.KeyError, line) //nolint:sloglint // its callers pass constants
	}
}

func lines(err error) []string { return strings.Split(err.Error(), "\n") }

func firstLine(err error) error {
	all := lines(err)
	if len(all) == 1 {
		return err
	}
	return fmt.Errorf("%s (and %d more)", all[0], len(all)-1)
}

// Resolve returns the configuration to decide with; sent is what the tunnel
// offers, nil when it knows none. The first source in order that has one wins.
func (s *Source) Resolve(sent *policyapi.Configuration) (decide.Config, error) {
	for i, name := range s.order {
		last := i == len(s.order)-1
		if name == Local {
			if c, err := s.fromFile(); last || !errors.Is(err, agentconfig.ErrMissing) {
				return c, err
			}
			continue
		}
		c, err := s.fromRepository(sent)
		if last || err != nil || c.Config != nil || len(c.Faults) > 0 {
			return c, err
		}
	}
	return decide.Config{}, nil
}

func (s *Source) fromRepository(sent *policyapi.Configuration) (decide.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent == nil {
		return s.lastGood(), nil
	}
	p, ok := s.known[sent.Revision]
	switch {
	case ok:
	case len(sent.Content)+len(sent.Towline) == 0 && sent.Revision != agentconfig.Revision(nil):
		return decide.Config{}, ErrContentNeeded
	default:
		p = s.parse(sent)
		s.remember(sent.Revision, p)
	}
	if p.config == nil {
		c := s.lastGood()
		for _, f := range p.faults {
			c.Faults = append(c.Faults, f.Error())
		}
		return c, nil
	}
	named := *p.config // the same content may come from another commit
	named.File = sent.Source
	named.Towline.File = agentconfig.BesideName(sent.Source)
	c := decide.Config{Config: &named, Revision: sent.Revision, Source: Repository}
	s.good = &c
	c.Faults = sent.Faults
	s.metrics.count(Repository, len(sent.Faults))
	return c, nil
}

func (s *Source) fromFile() (decide.Config, error) {
	now := s.local.Current()
	if now.Loaded == nil {
		err := now.Err
		if err == nil {
			err = errors.New("it has not been read yet")
		}
		return decide.Config{}, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	c := decide.Config{Config: now.Loaded.Config, Revision: now.Loaded.Revision, Source: Local}
	if now.Err != nil {
		c.Faults = lines(now.Err)
	}
	return c, nil
}

func (s *Source) lastGood() decide.Config {
	if s.good == nil {
		return decide.Config{}
	}
	return *s.good
}

func (s *Source) parse(sent *policyapi.Configuration) parsed {
	config, notices, err := sent.Files().Parse(agentconfig.Options{})
	var p parsed
	if err != nil {
		if !errors.As(err, &p.faults) {
			p.faults = strictyaml.Faults{{File: sent.Source, Line: 1, Column: 1, Problem: err.Error()}}
		}
		s.logFaults("the configuration from GitLab cannot be used", p.faults)
		s.metrics.count(Repository, len(p.faults))
		return p
	}
	s.log.Info("configuration from GitLab is in force", "source", sent.Source, "revision", sent.Revision)
	s.logNotices(notices)
	p.config = config
	return p
}

func (s *Source) remember(revision string, p parsed) {
	if len(s.age) == maxRevisions {
		delete(s.known, s.age[0])
		s.age = s.age[1:]
	}
	s.known[revision] = p
	s.age = append(s.age, revision)
}
