package configuration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
)

type link struct{ state string }

func (l *link) Up()          { l.state = "up" }
func (l *link) Down(e error) { l.state = e.Error() }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func sent(commit, content string, with bool) *policyapi.Configuration {
	c := &policyapi.Configuration{Source: "g/a@" + commit + ":config.yaml", Revision: agentconfig.Revision([]byte(content))}
	if with {
		c.Content = []byte(content)
	}
	return c
}

func one(id string) string { return "ci_access: {projects: [{id: " + id + "}]}" }

func TestSentContentIsAskedForOnceAndTheLastGoodStays(t *testing.T) {
	s := New("", &link{}, quiet())
	if c, err := s.Resolve(nil); err != nil || c.Config != nil || len(c.Faults) > 0 {
		t.Fatalf("nothing is known yet: %+v, %v", c, err)
	}
	if _, err := s.Resolve(sent("c1", one("g/one"), false)); !errors.Is(err, ErrContentNeeded) {
		t.Fatalf("error %v", err)
	}
	for i, with := range []bool{true, false} {
		c, err := s.Resolve(sent(fmt.Sprint("c", i), one("g/one"), with))
		if err != nil || c.CIAccess.Projects[0].ID != "g/one" || c.File != fmt.Sprintf("g/a@c%d:config.yaml", i) {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	for _, with := range []bool{true, false} { // a faulty change, first and known
		c, err := s.Resolve(sent("c3", "bogus: 1", with))
		if err != nil || c.Config == nil || c.CIAccess.Projects[0].ID != "g/one" || len(c.Faults) != 1 || !strings.HasPrefix(c.Faults[0], "g/a@c3:config.yaml:1:1: bogus") {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	if c, err := s.Resolve(nil); err != nil || c.Config == nil || len(c.Faults) > 0 {
		t.Fatalf("the tunnel knows nothing: %+v, %v", c, err)
	}
	// An empty file is a configuration, and its revision needs no content.
	if c, err := s.Resolve(sent("c4", "", false)); err != nil || c.Config == nil || len(c.CIAccess.Projects) != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
}

func TestFaultyFromTheStart(t *testing.T) {
	c, err := New("", &link{}, quiet()).Resolve(sent("c1", "a: 1\nb: 2\n", true))
	if err != nil || c.Config != nil || len(c.Faults) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestRevisionsAreForgotten(t *testing.T) {
	s := New("", &link{}, quiet())
	for i := range maxRevisions + 1 {
		if _, err := s.Resolve(sent("c", one(fmt.Sprintf("g/p%d", i)), true)); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.known) != maxRevisions || len(s.order) != maxRevisions {
		t.Errorf("%d revisions", len(s.known))
	}
	if _, err := s.Resolve(sent("c", one("g/p0"), false)); !errors.Is(err, ErrContentNeeded) {
		t.Errorf("error %v", err)
	}
}

func TestLocalWinsAndSaysWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), agentconfig.FileName)
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, out := &link{}, &strings.Builder{}
	s := New(file, l, slog.New(slog.NewTextHandler(out, nil)))
	if _, err := s.Resolve(nil); !errors.Is(err, ErrUnusable) {
		t.Errorf("before the first read: %v", err)
	}
	write("a: 1\nb: 2\n")
	s.local.Check()
	_, err := s.Resolve(sent("c", one("g/sent"), true))
	if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), file+":1:1: a: unknown key") {
		t.Errorf("malformed: %v", err)
	}
	if !strings.HasPrefix(l.state, file+":1:1: a: unknown key") || !strings.HasSuffix(l.state, "(and 1 more)") {
		t.Errorf("link: %s", l.state)
	}
	if strings.Count(out.String(), "level=ERROR") != 2 {
		t.Errorf("log: %s", out)
	}
	write(one("g/local"))
	s.local.Check()
	c, err := s.Resolve(sent("c", one("g/sent"), true))
	if err != nil || c.CIAccess.Projects[0].ID != "g/local" || l.state != "up" {
		t.Errorf("%+v, %v, link %s", c, err, l.state)
	}
	write("c: 1\n")
	s.local.Check()
	c, err = s.Resolve(nil)
	if err != nil || c.CIAccess.Projects[0].ID != "g/local" || len(c.Faults) != 1 || l.state != "up" {
		t.Errorf("the last good does not stay: %+v, %v, link %s", c, err, l.state)
	}
}

func TestRunWithoutAFileWaits(t *testing.T) {
	l := &link{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New("", l, quiet()).Run(ctx); err != nil || l.state != "up" {
		t.Errorf("%v, link %s", err, l.state)
	}
}
