package sources

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// repository is GitLab with two files in it. towline is not there while empty.
type repository struct {
	t       *testing.T
	mu      sync.Mutex
	content string
	towline string
	commit  string
	// between happens once, after the next read of config.yaml.
	between func()
	noETag  bool
	err     error
	looks   int // at config.yaml
	tokens  []string
	history map[string][2]string // contents by commit
}

func (r *repository) FileAt(_ context.Context, token, project, path, ref, etag string, limit int64) (*gitlab.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.history == nil {
		r.history = map[string][2]string{}
	}
	r.history[r.commit] = [2]string{r.content, r.towline}
	i := slices.Index([]string{".gitlab/agents/main/config.yaml", ".gitlab/agents/main/towline.yaml"}, path)
	commit := ref
	if ref == "HEAD" {
		commit = r.commit
	}
	at, known := r.history[commit]
	if project != "acme/agents" || i < 0 || !known || limit != 128<<10 {
		r.t.Errorf("asked for %s of %s at %s up to %d bytes", path, project, ref, limit)
		return nil, errors.New("no such thing")
	}
	if i == 0 {
		r.looks++
		r.tokens = append(r.tokens, token)
		if f := r.between; f != nil {
			r.between = nil
			defer f()
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if i == 1 && at[1] == "" {
		return nil, fmt.Errorf("%w (404 File Not Found)", gitlab.ErrNoFile)
	}
	now := fmt.Sprintf(`W/"%s"`, agentconfig.Revision([]byte(at[i]))[:8])
	switch {
	case r.noETag:
		now = ""
	case etag == now:
		return nil, nil
	}
	return &gitlab.File{Content: []byte(at[i]), Commit: commit, ETag: now}, nil
}

const (
	good    = "ci_access:\n  projects:\n    - id: acme/app\n"
	better  = "ci_access:\n  projects:\n    - id: acme/app\n    - id: acme/other\n"
	faulty  = "ci_access:\n  projekts:\n    - id: acme/app\nnonsense: 1\n"
	noticed = "ci_access:\n  projects:\n    - id: /acme/app/\n"
)

type bench struct {
	*Configuration
	t      *testing.T
	repo   *repository
	health *service.Health
	log    *outputtest.Buffer

	metrics *prometheus.Registry
}

func newBench(t *testing.T, content string) *bench {
	b := &bench{t: t, repo: &repository{t: t, content: content, commit: "714a629c0b401fdce83e847fc9589983fc6f46bc"}, log: &outputtest.Buffer{}, metrics: prometheus.NewRegistry()}
	b.health = service.NewHealth(slog.New(slog.DiscardHandler))
	b.Configuration = &Configuration{
		Files: b.repo, Token: func() (string, error) { return "glpat-secret", nil }, Project: "acme/agents", Agent: "main",
		Every: 3 * time.Second, Metrics: NewMetrics(b.metrics), Link: b.health.Link("configuration"), Log: slog.New(slog.NewTextHandler(b.log, nil)),
	}
	return b
}

// during lets the configuration be followed for a while of synthetic time;
// events happen at their time.
func (b *bench) during(d time.Duration, events map[time.Duration]func()) {
	ctx, cancel := context.WithTimeout(b.t.Context(), d)
	defer cancel()
	for at, f := range events {
		time.AfterFunc(at, func() {
			b.repo.mu.Lock()
			defer b.repo.mu.Unlock()
			f()
		})
	}
	if err := b.Run(ctx); err != nil {
		b.t.Errorf("Run: %v", err)
	}
}

func (b *bench) link() string { return b.health.Report().Links["configuration"] }

func (b *bench) logged(text string) int { return strings.Count(b.log.String(), text) }

func (b *bench) content() string {
	if c := b.Current(); c != nil {
		return string(c.Content)
	}
	return "none"
}

func TestConfigurationIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, good)
		if _, err := b.Known(); !errors.Is(err, ErrNotRead) {
			t.Errorf("before the first look: %v", err)
		}
		b.during(20*time.Second, map[time.Duration]func(){
			time.Second: func() {
				if b.content() != good || b.link() != "up" {
					t.Errorf("after a second: %s, link %s", b.content(), b.link())
				}
			},
			10 * time.Second: func() { b.repo.content, b.repo.commit = better, "99999999aaaa" },
		})
		now, err := b.Known()
		if err != nil {
			t.Fatal(err)
		}
		if now.Source != "acme/agents@99999999:.gitlab/agents/main/config.yaml" || now.Revision != agentconfig.Revision([]byte(better)) || b.content() != better {
			t.Errorf("now %+v", now)
		}
		if b.repo.looks != 7 || b.logged("configuration taken over") != 2 {
			t.Errorf("%d looks, log:\n%s", b.repo.looks, b.log)
		}
	})
}

func TestConfigurationWithoutETagIsNotNewsEachTime(t *testing.T) {
	for _, content := range []string{good, faulty, noticed} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, content)
			b.repo.noETag = true
			b.during(30*time.Second, nil)
			if n := strings.Count(b.log.String(), "\n"); n < 1 || n > 2 {
				t.Errorf("%d lines after %d looks:\n%s", n, b.repo.looks, b.log)
			}
		})
	}
}

func TestFaultsKeepTheLastGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, good)
		b.during(60*time.Second, map[time.Duration]func(){
			10 * time.Second: func() { b.repo.content = faulty },
			30 * time.Second: func() {
				if b.content() != good || !strings.HasPrefix(b.link(), "up; the last good configuration is in force: acme/agents@") {
					t.Errorf("the last good one is gone: %s, link %s", b.content(), b.link())
				}
				if c := b.Current(); len(c.Faults) != 2 || c.Revision != agentconfig.Revision([]byte(good)) {
					t.Errorf("policy is not told: %+v", c)
				}
				if got := b.gauge(); got != 2 {
					t.Errorf("metric: %v faults", got)
				}
				for _, want := range []string{`.gitlab/agents/main/config.yaml:2:3: ci_access.projekts: unknown key`, `.gitlab/agents/main/config.yaml:4:1: nonsense: unknown key`} {
					if b.logged(want) != 1 {
						t.Errorf("%q logged %d times:\n%s", want, b.logged(want), b.log)
					}
				}
			},
			40 * time.Second: func() { b.repo.content = better },
		})
		if c := b.Current(); b.content() != better || len(c.Faults) != 0 || b.gauge() != 0 || b.link() != "up" {
			t.Errorf("not recovered: %s, link %s", b.content(), b.link())
		}
	})
}

const narrow, wider = "refine: [{users: [alice]}]\n", "refine: [{users: [alice, bob]}]\n"

func (b *bench) gauge() float64 {
	all, err := b.metrics.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	return all[0].GetMetric()[0].GetGauge().GetValue()
}

func (b *bench) beside() string {
	if c := b.Current(); c != nil {
		return string(c.Towline)
	}
	return "none"
}

// Either file may change alone, come and go.
func TestTheFileBesideIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, good)
		change := func(commit, content, towline string) func() {
			return func() { b.repo.commit, b.repo.content, b.repo.towline = commit, content, towline }
		}
		want := func(commit, content, towline string) func() {
			return func() {
				c := b.Current()
				f := agentconfig.Files{Content: []byte(content), Towline: []byte(towline)}
				if c.Source != "acme/agents@"+commit+":.gitlab/agents/main/config.yaml" || b.content() != content || b.beside() != towline || c.Revision != f.Revision() {
					t.Errorf("want %s with %q, in force %+v", commit, towline, c)
				}
			}
		}
		b.during(70*time.Second, map[time.Duration]func(){
			10 * time.Second: change("c0000001", good, narrow),
			19 * time.Second: want("c0000001", good, narrow),
			20 * time.Second: change("c0000002", good, wider),
			29 * time.Second: want("c0000002", good, wider),
			30 * time.Second: change("c0000003", better, narrow),
			39 * time.Second: want("c0000003", better, narrow),
			40 * time.Second: change("c0000004", better, "refine: [{user: [alice]}]\n"),
			49 * time.Second: func() {
				want("c0000003", better, narrow)()
				if c := b.Current(); len(c.Faults) != 1 || !strings.Contains(c.Faults[0], "acme/agents@c0000004:.gitlab/agents/main/towline.yaml:1:11: refine[0].user: unknown key") {
					t.Errorf("faults %v", c.Faults)
				}
			},
			50 * time.Second: change("c0000005", better, ""),
			59 * time.Second: want("c0000005", better, ""),
		})
		if b.logged("configuration taken over") != 5 {
			t.Errorf("log:\n%s", b.log)
		}
	})
}

// A push between the two reads must not mix the files of two commits.
func TestBothFilesAreOfOneCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, good)
		b.repo.towline = narrow
		b.repo.between = func() { b.repo.commit, b.repo.content, b.repo.towline = "c0000001", better, wider }
		b.during(10*time.Second, map[time.Duration]func(){
			time.Second: func() {
				if b.content() != good || b.beside() != narrow {
					t.Errorf("mixed: %+v", b.Current())
				}
			},
		})
		if b.content() != better || b.beside() != wider {
			t.Errorf("in the end: %+v", b.Current())
		}
	})
}

func TestAnAnswerWithoutACommitIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, good)
		b.repo.commit = ""
		b.during(10*time.Second, nil)
		if b.Current() != nil || !strings.Contains(b.link(), "X-Gitlab-Commit-Id") {
			t.Errorf("link %s", b.link())
		}
	})
}

func TestFaultsForPolicyAreBounded(t *testing.T) {
	got := bounded(append(slices.Repeat([]string{"x"}, 100), "y"))
	if len(got) != policyapi.MaxFaults {
		t.Errorf("%d faults", len(got))
	}
	if got := bounded([]string{strings.Repeat("ä", policyapi.MaxFault)}); len(got[0]) > policyapi.MaxFault {
		t.Errorf("%d bytes", len(got[0]))
	}
}

// The second look answers 304: that must not read as "all is well".
func TestFaultsFromTheBeginningStayFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, faulty)
		b.during(120*time.Second, map[time.Duration]func(){
			20 * time.Second: func() {
				if _, err := b.Known(); err == nil || !strings.Contains(b.link(), "config.yaml:2:3: ci_access.projekts") {
					t.Errorf("link %s", b.link())
				}
			},
			30 * time.Second: func() { b.repo.content = good },
			// The pauses have grown meanwhile, but not without bound.
			119 * time.Second: func() {
				if b.link() != "up" || b.content() != good {
					t.Errorf("not recovered: link %s", b.link())
				}
			},
		})
		if b.logged("configuration not taken over") != 2 { // one line for each fault
			t.Errorf("log:\n%s", b.log)
		}
	})
}

func TestNoticesAreLoggedOncePerVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, noticed)
		b.during(30*time.Second, map[time.Duration]func(){10 * time.Second: func() { b.repo.content += "# changed\n" }})
		if b.logged("matches no project") != 2 || b.logged("config.yaml:3:7") != 2 {
			t.Errorf("log:\n%s", b.log)
		}
	})
}

func TestWhatAPersonReads(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"missing":   {fmt.Errorf("%w (404 File Not Found)", gitlab.ErrNoFile), ".gitlab/agents/main/config.yaml is not in project acme/agents, or --config-token-file may not read it: GitLab has no such project or file, or the token may not read it (404 File Not Found)"},
		"revoked":   {fmt.Errorf("%w (401 Unauthorized)", gitlab.ErrRefused), "reading .gitlab/agents/main/config.yaml of project acme/agents: GitLab refuses the token (401 Unauthorized); --config-token-file needs a token with scope read_repository"},
		"no answer": {errors.New("connection refused"), "reading .gitlab/agents/main/config.yaml of project acme/agents: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, good)
				b.during(4*time.Minute, map[time.Duration]func(){
					time.Minute: func() { b.repo.err = tt.err },
					2 * time.Minute: func() {
						if diff := cmp.Diff(tt.want, b.link()); diff != "" || b.content() != good {
							t.Errorf("in force %q, link:\n%s", b.content(), diff)
						}
						b.repo.err = nil
					},
				})
				if b.link() != "up" {
					t.Errorf("not recovered: %s", b.link())
				}
			})
		})
	}
}

// Policy has files of its own, so that jobs need not wait for one in GitLab.
func TestAnOptionalFileMayBeMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, good)
		b.Optional = true
		b.repo.err = fmt.Errorf("%w (404 File Not Found)", gitlab.ErrNoFile)
		b.during(60*time.Second, map[time.Duration]func(){
			10 * time.Second: func() {
				if c, err := b.Known(); c != nil || err != nil || !strings.HasPrefix(b.link(), "up; .gitlab/agents/main/config.yaml is not in project acme/agents") {
					t.Errorf("%v, %v, link %s", c, err, b.link())
				}
				b.repo.err = errors.New("500")
			},
			20 * time.Second: func() {
				if _, err := b.Known(); !errors.Is(err, ErrNotRead) || strings.HasPrefix(b.link(), "up") {
					t.Errorf("an outage is no missing file: %v, link %s", err, b.link())
				}
				b.repo.err = nil
			},
		})
		if c, err := b.Known(); c == nil || err != nil || b.link() != "up" {
			t.Errorf("%v, %v, link %s", c, err, b.link())
		}
	})
}

func TestTokenIsReadForEachLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, good)
		n := 0
		b.Token = func() (string, error) {
			if n++; n == 1 {
				return "", errors.New("open config-token: no such file")
			}
			return fmt.Sprint("token", n), nil
		}
		b.during(10*time.Second, map[time.Duration]func(){100 * time.Millisecond: func() {
			if b.link() != "open config-token: no such file" || b.repo.looks != 0 {
				t.Errorf("link %s after %d looks", b.link(), b.repo.looks)
			}
		}})
		if b.link() != "up" || b.repo.tokens[0] != "token2" || b.repo.tokens[1] != "token3" {
			t.Errorf("link %s, tokens %v", b.link(), b.repo.tokens)
		}
	})
}

func TestFailuresBackOffAndTheEndIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, good)
		b.Link.Up()
		b.repo.err = errors.New("500")
		b.during(10*time.Minute, nil)
		if b.repo.looks > 25 {
			t.Errorf("%d looks in ten minutes of outage", b.repo.looks)
		}
		ended, cancel := context.WithCancel(t.Context())
		c := newBench(t, good)
		c.Link.Up()
		c.Token = func() (string, error) { cancel(); return "", context.Canceled }
		if err := c.Run(ended); err != nil || c.link() != "up" {
			t.Errorf("%v, link %s", err, c.link())
		}
	})
}
