package syncs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// world is GitLab and policy, as far as syncs see them.
type world struct {
	mu       sync.Mutex
	head     string
	archives int
	looks    int
	statuses []string
	unheard  error           // why GitLab does not take statuses
	pages    map[string]bool // that statuses lead to
	refuse   string
	heads    map[string]string  // of single projects
	removed  *policyapi.Removed // what policy was asked with last
	// Records of deployments.
	deployments    []string
	lastDeployment int64
	noDeployments  bool
	compared       []string
	tags           [][]gitlab.Tag    // pages
	asked          []int             // pages that were looked at
	pack           []byte            // commit and directories
	files          map[string]string // of the archive
	slow           chan error        // archives of acme/slow wait for it
	// CI/CD variables of the project, or why they are not told.
	variables      []gitlab.Variable
	noVariables    error
	variableLooks  int
	protected      []string // as "branch main" or "tag v1"
	protectedLooks []string
}

func (w *world) ProjectID(context.Context, string, string) (int64, error) { return 42, nil }

func (w *world) Commit(_ context.Context, _, project, _, etag string) (*gitlab.CommitAt, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	head, own := w.heads[project]
	if !own {
		head = w.head
	}
	switch {
	case head == "":
		return nil, fmt.Errorf("%w (404 Commit Not Found)", gitlab.ErrNoFile)
	case etag == head:
		return nil, nil
	}
	return &gitlab.CommitAt{ID: head, ETag: head}, nil
}

func (w *world) Tags(_ context.Context, _, _ string, page int, etag string) (*gitlab.TagPage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, page)
	if page > len(w.tags) {
		return nil, fmt.Errorf("there is no page %d", page)
	}
	now := fmt.Sprint(w.tags[page-1])
	if etag == now {
		return nil, nil
	}
	return &gitlab.TagPage{Tags: w.tags[page-1], ETag: now, More: page < len(w.tags)}, nil
}

func (w *world) Variables(_ context.Context, _, _ string, names []string) ([]gitlab.Variable, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.variableLooks++
	var out []gitlab.Variable
	for _, v := range w.variables {
		if slices.Contains(names, v.Key) {
			out = append(out, v)
		}
	}
	return out, w.noVariables
}

func (w *world) Protected(_ context.Context, _, _, name string, tag bool) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ref := map[bool]string{false: "branch ", true: "tag "}[tag] + name
	w.protectedLooks = append(w.protectedLooks, ref)
	return slices.Contains(w.protected, ref), nil
}

func (w *world) Directories(context.Context, string, string, string) ([]byte, error) {
	return w.pack, nil
}

func (w *world) Archive(ctx context.Context, _, project, commit, _ string) ([]byte, error) {
	if project == "acme/slow" {
		select {
		case err := <-w.slow:
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.archives++
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	t := tar.NewWriter(z)
	files := w.files
	if files == nil {
		files = map[string]string{"a.yaml": "commit: " + commit}
	}
	for name, content := range files {
		_ = t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "shop/" + name, Size: int64(len(content))})
		_, _ = t.Write([]byte(content))
	}
	_, _ = t.Close(), z.Close()
	return buf.Bytes(), nil
}

func (w *world) SetCommitStatus(_ context.Context, _ string, project int64, commit string, s gitlab.CommitStatus) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unheard != nil {
		return w.unheard
	}
	w.pages[s.TargetURL] = true
	w.statuses = append(w.statuses, fmt.Sprintf("%d %s %s %s: %s", project, commit, s.Name, s.State, s.Description))
	return nil
}

func (w *world) DecideSync(_ context.Context, e policyapi.SyncEvidence, _ *policyapi.Configuration) (*policyapi.Decision, error) {
	w.removed = e.Removed
	if w.refuse != "" {
		return &policyapi.Decision{Reasons: []string{"first", w.refuse}, Remedy: "do this"}, nil
	}
	return &policyapi.Decision{Allow: true, Grant: "grant for " + e.PayloadDigest}, nil
}

type bench struct {
	*testing.T
	world  *world
	ledger *ledger.Ledger
	seal   *seal.Box
	config Config
}

func open(t *testing.T, m agentconfig.Manifests) *bench {
	t.Helper()
	rdb, err := ledger.Open(redistest.New(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	box, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, world: &world{head: "c1", pages: map[string]bool{}}, ledger: ledger.New(rdb, redistest.Prefix(t)), seal: box}
	b.config = Config{
		GitLab: b.world, Policy: b.world, Ledger: b.ledger, Seal: box, Token: func(string) (string, string, error) { return "token", "--gitops-token-file", nil },
		Entries: func() (agentconfig.GitOps, *policyapi.Configuration) {
			return agentconfig.GitOps{Manifests: []agentconfig.Manifests{m}}, nil
		},
		Agent: "prod", Page: "https://gitlab/agent", Every: time.Second, Log: slog.New(slog.DiscardHandler),
	}
	return b
}

func (b *bench) follower(tunnel string) *follower {
	c := b.config
	c.Tunnel, c.Metrics = tunnel, NewMetrics(prometheus.NewRegistry())
	g, _ := c.Entries()
	return &follower{Keeper: New(c), entry: g.Manifests[0]}
}

// claim plays the runner.
func (b *bench) claim(name string) (int64, syncspec.Task) {
	b.Helper()
	serial, sealed, err := b.ledger.ClaimSync(b.Context(), name, "runner", time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	text, err := ledger.OpenTask(b.seal, name, sealed)
	if err != nil {
		b.Fatal(err)
	}
	var order syncspec.Order
	var task syncspec.Task
	if err := json.Unmarshal(text, &order); err != nil || order.Grant != "grant for "+grant.Digest(order.Task) {
		b.Fatalf("%s, %v", text, err)
	}
	if err := json.Unmarshal(order.Task, &task); err != nil {
		b.Fatal(err)
	}
	return serial, task
}

func (b *bench) finish(name string, serial int64, r syncspec.Report) {
	b.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	sealed, err := ledger.SealSyncResult(b.seal, name, serial, text)
	if err == nil {
		err = b.ledger.FinishSync(b.Context(), name, "runner", serial, sealed)
	}
	if err != nil {
		b.Fatal(err)
	}
}

var shop = agentconfig.Manifests{Name: "shop", Project: "acme/shop", Globs: []string{"*.yaml"}, Interval: time.Hour}

func TestACommitBecomesATaskAndAStatus(t *testing.T) {
	b := open(t, shop)
	f, other := b.follower("t1"), b.follower("t2")
	f.step(t.Context())
	other.step(t.Context())
	if b.world.looks != 1 {
		t.Errorf("%d looks: another replica follows too", b.world.looks)
	}
	serial, task := b.claim("shop")
	packed, err := b.ledger.Bundle(t.Context(), b.seal, task.Bundle)
	if err != nil || grant.Digest(packed) != task.Bundle {
		t.Fatal(err)
	}
	files, err := syncspec.Unpack(packed)
	if err != nil || len(files) != 1 || string(files[0].Content) != "commit: c1" || task.ProjectID != 42 {
		t.Errorf("%+v %v %v", task, files, err)
	}
	b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "shop", Objects: 1})
	f.step(t.Context())
	f.step(t.Context())
	want := "42 c1 towline/prod/shop pending: waiting for a runner\n42 c1 towline/prod/shop success: 1 objects"
	if got := strings.Join(b.world.statuses, "\n"); got != want {
		t.Error(got)
	}
	if !b.world.pages["https://gitlab/agent"] || len(b.world.pages) != 1 {
		t.Errorf("statuses lead to %v", b.world.pages)
	}
	if b.world.archives != 1 {
		t.Errorf("%d archives", b.world.archives)
	}
	// A new tunnel compares again, and tells GitLab nothing twice.
	if err := b.ledger.LeaveSync(t.Context(), "shop", "t1"); err != nil {
		t.Fatal(err)
	}
	other.step(t.Context())
	if serial, _ := b.claim("shop"); serial != 2 || len(b.world.statuses) != 2 {
		t.Errorf("serial %d, %v", serial, b.world.statuses)
	}
}

func TestANewCommitDoesNotWait(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	f.step(t.Context())
	serial, _ := b.claim("shop")
	b.world.head = "c2"
	f.step(t.Context())
	if word, err := b.ledger.RenewSync(t.Context(), "shop", "runner", time.Minute); word != ledger.CancelSuperseded || err != nil {
		t.Errorf("%q, %v", word, err)
	}
	b.finish("shop", serial, syncspec.Report{State: syncspec.Superseded, Commit: "c1", Entry: "shop"})
	f.step(t.Context())
	if _, task := b.claim("shop"); task.Commit != "c2" {
		t.Errorf("%+v", task)
	}
	if got := strings.Join(b.world.statuses, "\n"); strings.Contains(got, "failed") {
		t.Error(got)
	}
}

// The first result that a tunnel hears may be of a commit before the newest.
func TestAPendingCommitIsToldOnce(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	f.step(t.Context())
	serial, _ := b.claim("shop")
	b.world.head = "c2"
	f.step(t.Context())
	b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "shop", Objects: 1})
	f.step(t.Context())
	want := "42 c1 towline/prod/shop pending: waiting for a runner\n42 c2 towline/prod/shop pending: waiting for a runner\n" +
		"42 c1 towline/prod/shop canceled: superseded by c2\n42 c1 towline/prod/shop success: 1 objects"
	if got := strings.Join(b.world.statuses, "\n"); got != want {
		t.Error(got)
	}
	// The next tunnel finds c2 waiting.
	if err := b.ledger.LeaveSync(t.Context(), "shop", "t1"); err != nil {
		t.Fatal(err)
	}
	next := b.follower("t2")
	next.step(t.Context())
	serial, task := b.claim("shop")
	if task.Commit != "c2" {
		t.Errorf("%+v", task)
	}
	b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c2", Entry: "shop", Objects: 1})
	next.step(t.Context())
	want += "\n42 c2 towline/prod/shop success: 1 objects"
	if got := strings.Join(b.world.statuses, "\n"); got != want {
		t.Error(got)
	}
}

func TestFailuresAreTriedAgainLater(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	f.step(t.Context())
	serial, _ := b.claim("shop")
	b.finish("shop", serial, syncspec.Report{State: syncspec.Failed, Commit: "c1", Entry: "shop", Problems: []string{"a.yaml:1: wrong", "b"}})
	f.step(t.Context())
	if pause := time.Until(f.again); pause < 4*time.Second || pause > 10*time.Second {
		t.Errorf("again in %s", pause)
	}
	if rec, err := b.ledger.LoadSync(t.Context(), "shop"); err != nil || rec.State != ledger.SyncDone {
		t.Errorf("%+v, %v", rec, err)
	}
	if got := b.world.statuses[len(b.world.statuses)-1]; got != "42 c1 towline/prod/shop failed: a.yaml:1: wrong (and 1 more)" {
		t.Error(got)
	}
	f.again = time.Time{}
	f.step(t.Context())
	if serial, _ := b.claim("shop"); serial != 2 {
		t.Errorf("serial %d", serial)
	}
}

// A task goes on while a newer commit is refused, and its end says nothing of that.
func TestALateResultIsNotOfTheNewerCommit(t *testing.T) {
	for name, late := range map[string]string{"another commit": "c2", "the same commit": "c1"} {
		b := open(t, withVariables(agentconfig.GitRef{}, "TOKEN"))
		b.world.variables = []gitlab.Variable{variable("TOKEN", aValue)}
		f := b.follower("t1")
		f.step(t.Context())
		serial, _ := b.claim("shop")
		b.world.head, b.world.noVariables, f.variables.at = late, fmt.Errorf("%w (403 Forbidden)", gitlab.ErrRefused), time.Time{}
		f.step(t.Context())
		b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "shop", Objects: 1})
		f.step(t.Context())
		if pause := time.Until(f.again); pause > failing.Min || f.failures != 1 || f.last.Commit != late || f.last.State != syncspec.Failed {
			t.Errorf("%s: again in %s, %d failures, %+v", name, pause, f.failures, f.last)
		}
		told := strings.Contains(strings.Join(b.world.statuses, "\n"), "c1 towline/prod/shop success")
		if want := late != "c1"; told != want {
			t.Errorf("%s: %v", name, b.world.statuses)
		}
		b.world.noVariables, f.again = nil, time.Time{}
		f.step(t.Context())
		if _, task := b.claim("shop"); task.Commit != late {
			t.Errorf("%s: %+v", name, task)
		}
	}
}

func TestWhatIsNotWanted(t *testing.T) {
	suspended, closed := shop, shop
	suspended.Suspend = true
	closed.Windows = []agentconfig.Window{never()}
	for name, m := range map[string]agentconfig.Manifests{"suspended": suspended, "closed": closed} {
		b := open(t, m)
		b.follower("t1").step(t.Context())
		if b.world.looks != 0 {
			t.Errorf("%s: %d looks", name, b.world.looks)
		}
	}
	b := open(t, shop)
	b.world.refuse = "not allowed"
	f := b.follower("t1")
	f.step(t.Context())
	f.step(t.Context())
	if got := strings.Join(b.world.statuses, "\n"); got != "42 c1 towline/prod/shop failed: not allowed; do this" {
		t.Error(got)
	}
	b.world.refuse, b.world.head = "", ""
	f.step(t.Context())
	if !strings.HasPrefix(f.problem, "the default branch of project acme/shop is not there, or --gitops-token-file may not read it") || f.looks != 1 {
		t.Errorf("%d, %q", f.looks, f.problem)
	}
}
