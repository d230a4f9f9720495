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

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
)

type link struct{ state string }

func (l *link) Up()                { l.state = "up" }
func (l *link) Down(e error)       { l.state = e.Error() }
func (l *link) Remark(what string) { l.state = "up; " + what }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func sentOnly() *Source { return New(Settings{}, &link{}, prometheus.NewRegistry(), quiet()) }

func sent(commit, content string, with bool) *policyapi.Configuration {
	c := &policyapi.Configuration{Source: "g/a@" + commit + ":config.yaml", Revision: agentconfig.Revision([]byte(content))}
	if with {
		c.Content = []byte(content)
	}
	return c
}

func one(id string) string { return "ci_access: {projects: [{id: " + id + "}]}" }

func TestSentContentIsAskedForOnceAndTheLastGoodStays(t *testing.T) {
	s := sentOnly()
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
	c, err := sentOnly().Resolve(sent("c1", "a: 1\nb: 2\n", true))
	if err != nil || c.Config != nil || len(c.Faults) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestRevisionsAreForgotten(t *testing.T) {
	s := sentOnly()
	for i := range maxRevisions + 1 {
		if _, err := s.Resolve(sent("c", one(fmt.Sprintf("g/p%d", i)), true)); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.known) != maxRevisions || len(s.age) != maxRevisions {
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
	l, out, reg := &link{}, &strings.Builder{}, prometheus.NewRegistry()
	s := New(Settings{Path: file}, l, reg, slog.New(slog.NewTextHandler(out, nil)))
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
	if err != nil || c.CIAccess.Projects[0].ID != "g/local" || len(c.Faults) != 1 || !strings.HasPrefix(l.state, "up; the last good configuration is in force: "+file+":1:1: c: unknown key") {
		t.Errorf("the last good does not stay: %+v, %v, link %s", c, err, l.state)
	}
	if got := gauge(t, reg, Local); got != 1 {
		t.Errorf("metric: %v faults", got)
	}
}

func TestRunWithoutAFileWaits(t *testing.T) {
	l := &link{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(Settings{}, l, prometheus.NewRegistry(), quiet()).Run(ctx); err != nil || l.state != "up" {
		t.Errorf("%v, link %s", err, l.state)
	}
}

func gauge(t *testing.T, reg *prometheus.Registry, source string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all[0].GetMetric() {
		if m.GetLabel()[0].GetValue() == source {
			return m.GetGauge().GetValue()
		}
	}
	t.Fatalf("%s has no metric of %s", all[0].GetName(), source)
	return 0
}

func TestBothFilesAreOneConfiguration(t *testing.T) {
	s := sentOnly()
	f := agentconfig.Files{Content: []byte(one("g/app")), Towline: []byte("refine: [{users: [alice]}]")}
	msg := &policyapi.Configuration{Source: "g/a@c1:dir/config.yaml", Revision: f.Revision(), Content: f.Content, Towline: f.Towline}
	for i := range 2 {
		c, err := s.Resolve(msg)
		if err != nil || len(c.Towline.Refine) != 1 || c.Towline.File != fmt.Sprintf("g/a@c%d:dir/towline.yaml", i+1) || c.Source != Repository {
			t.Fatalf("%+v, %v", c, err)
		}
		msg = &policyapi.Configuration{Source: "g/a@c2:dir/config.yaml", Revision: f.Revision()}
	}
	f.Towline = []byte("refine: [{user: [alice]}]")
	c, err := s.Resolve(&policyapi.Configuration{Source: "g/a@c3:dir/config.yaml", Revision: f.Revision(), Content: f.Content, Towline: f.Towline})
	if err != nil || c.Config == nil || len(c.Faults) != 1 || !strings.HasPrefix(c.Faults[0], "g/a@c3:dir/towline.yaml:1:11: refine[0].user: unknown key") || len(c.Towline.Refine) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestFaultsThatTheTunnelFoundArePassedOn(t *testing.T) {
	s := sentOnly()
	msg := sent("c1", one("g/app"), true)
	msg.Faults = []string{"g/a@c2:config.yaml:1:1: bogus: unknown key"}
	c, err := s.Resolve(msg)
	if err != nil || c.CIAccess.Projects[0].ID != "g/app" || len(c.Faults) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := s.Resolve(sent("c1", one("g/app"), false)); err != nil || len(c.Faults) != 0 {
		t.Errorf("repaired: %+v, %v", c, err)
	}
}

func TestOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), agentconfig.FileName)
	for name, tt := range map[string]struct {
		order       []string
		local       string // "" is no file
		sent        bool
		want        string
		link, fault string
	}{
		"local first":                 {[]string{Local, Repository}, one("g/local"), true, "g/local", "up", ""},
		"local first, no file":        {[]string{Local, Repository}, "", true, "g/sent", "up; there is no local configuration", ""},
		"local first, faulty":         {[]string{Local, Repository}, "bogus: 1", true, "", file + ":1:1", "cannot be used"},
		"local only, no file":         {[]string{Local}, "", true, "", file, "no configuration file"},
		"repository first":            {[]string{Repository, Local}, one("g/local"), true, "g/sent", "up", ""},
		"repository first, none sent": {[]string{Repository, Local}, one("g/local"), false, "g/local", "up", ""},
		"repository first, faulty":    {[]string{Repository, Local}, "bogus: 1", true, "g/sent", "up; the local configuration cannot be used", ""},
		"neither":                     {[]string{Repository, Local}, "", false, "", "up", "no configuration file"},
	} {
		t.Run(name, func(t *testing.T) {
			_ = os.Remove(file)
			if tt.local != "" {
				if err := os.WriteFile(file, []byte(tt.local), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			l := &link{}
			s := New(Settings{Path: file, Order: tt.order}, l, prometheus.NewRegistry(), quiet())
			s.local.Check()
			var msg *policyapi.Configuration
			if tt.sent {
				msg = sent("c", one("g/sent"), true)
			}
			c, err := s.Resolve(msg)
			switch {
			case tt.fault != "":
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Errorf("%+v, %v", c, err)
				}
			case err != nil || c.CIAccess.Projects[0].ID != tt.want:
				t.Errorf("%+v, %v", c, err)
			}
			if !strings.HasPrefix(l.state, tt.link) {
				t.Errorf("link %s", l.state)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		s    Settings
		want string
	}{
		"none":          {Settings{}, ""},
		"both":          {Settings{Path: "/c", Order: []string{Local, Repository}}, ""},
		"unknown":       {Settings{Order: []string{"gitlab"}}, "the sources are local and repository"},
		"twice":         {Settings{Order: []string{Repository, Repository}}, "named twice"},
		"no path":       {Settings{Order: []string{Repository, Local}}, "needs a file or directory in --config"},
		"path for none": {Settings{Path: "/c", Order: []string{Repository}}, "local is not named"},
	} {
		err := tt.s.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
