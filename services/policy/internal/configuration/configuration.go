package configuration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

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

// Link is told whether the source can be used.
type Link interface {
	Up()
	Down(why error)
}

// Source is where configurations come from. Make it with New.
type Source struct {
	log   *slog.Logger
	link  Link
	local *agentconfig.Watcher // nil: the tunnel sends

	mu    sync.Mutex
	known map[string]parsed // by revision
	order []string          // revisions, oldest first
	good  *decide.Config    // the last one that could be used
}

// parsed is a content from the tunnel, read once.
type parsed struct {
	config *agentconfig.Config // nil when faulty
	faults strictyaml.Faults
}

// New watches path, or takes what the tunnel sends when path is empty.
func New(path string, link Link, log *slog.Logger) *Source {
	s := &Source{log: log, link: link, known: map[string]parsed{}}
	if path != "" {
		s.local = agentconfig.NewWatcher(path, agentconfig.Options{AllowToken: true}, s.changed)
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

// changed logs what became of the local file, one line per fault and notice.
func (s *Source) changed(e agentconfig.Event) {
	switch {
	case e.Err == nil:
		s.log.Info("local configuration is in force", "file", e.Loaded.Config.File, "revision", e.Loaded.Revision)
		for _, n := range e.Loaded.Notices {
			s.log.Info("configuration notice", "notice", n.String())
		}
		s.link.Up()
	case e.Loaded != nil:
		s.logFaults("the changed configuration cannot be used; the last good one stays in force", e.Err)
	default:
		s.logFaults("the configuration cannot be used; no job is let in until it is repaired", e.Err)
		s.link.Down(firstLine(e.Err))
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
// offers, nil when it knows none. A local configuration wins over it.
func (s *Source) Resolve(sent *policyapi.Configuration) (decide.Config, error) {
	if s.local != nil {
		return s.fromFile()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent == nil {
		return s.lastGood(), nil
	}
	p, ok := s.known[sent.Revision]
	switch {
	case ok:
	case len(sent.Content) == 0 && sent.Revision != agentconfig.Revision(nil):
		return decide.Config{}, ErrContentNeeded
	default:
		p = s.parse(sent)
		s.remember(sent.Revision, p)
	}
	if p.config == nil {
		c := s.lastGood()
		for _, f := range p.faults {
			f.File = sent.Source
			c.Faults = append(c.Faults, f.Error())
		}
		return c, nil
	}
	named := *p.config // the same content may come from another commit
	named.File = sent.Source
	s.good = &decide.Config{Config: &named, Revision: sent.Revision}
	return *s.good, nil
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
	c := decide.Config{Config: now.Loaded.Config, Revision: now.Loaded.Revision}
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
	config, notices, err := agentconfig.Parse(sent.Source, sent.Content, agentconfig.Options{})
	var p parsed
	if err != nil {
		if !errors.As(err, &p.faults) {
			p.faults = strictyaml.Faults{{File: sent.Source, Line: 1, Column: 1, Problem: err.Error()}}
		}
		s.logFaults("the configuration from GitLab cannot be used", p.faults)
		return p
	}
	s.log.Info("configuration from GitLab is in force", "source", sent.Source, "revision", sent.Revision)
	for _, n := range notices {
		s.log.Info("configuration notice", "notice", n.String())
	}
	p.config = config
	return p
}

func (s *Source) remember(revision string, p parsed) {
	if len(s.order) == maxRevisions {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	s.known[revision] = p
	s.order = append(s.order, revision)
}
