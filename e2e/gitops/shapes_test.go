package gitops

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
)

// shape is a folder of testdata/shapes: a configuration as people had it for
// GitLab's agent, a repository before and after the change to Towline, the
// objects that GitLab's agent had made of the former, and what Towline says of
// both. NAMESPACE and SECOND are namespaces of its own.
type shape struct {
	name, project     string
	namespace, second string
	dir               string
	values            string // host and port that VALUES stands for
}

// TestOldShapes: configurations of GitLab's agent run unchanged from where they
// were, and go on with the inventories and objects of the agent: none is made
// anew, none is forgotten, and what was not theirs is not touched.
func TestOldShapes(t *testing.T) {
	b := openOld(t)
	for n, name := range []string{"single-glob", "many-globs", "default-namespace", "directories", "inventory-template"} {
		record := oldRecord
		if n%2 == 1 {
			record = "" // what earlier versions wrote
		}
		t.Run(name, func(t *testing.T) { b.in(t).takeOver(b.in(t).shape(name), record) })
	}
}

// openOld is an installation without entries whose token reads all projects.
func openOld(t *testing.T, tunnelArgs ...string) *bench {
	t.Helper()
	b := open(t, "", map[string]string{"README.md": "not of interest"}, tunnelArgs...)
	token, err := b.gitlab.CreateAccessToken(sim.AccessTokenOptions{Scopes: []string{"api"}})
	b.must(err)
	b.must(os.WriteFile(b.opts.Dir+"/gitops.token", []byte(token), 0o600))
	return b
}

// in is the same installation for a part of the test.
func (b *bench) in(t *testing.T) *bench {
	part, trial := *b, *b.Trial
	trial.TB, part.Trial = t, &trial
	return &part
}

// shape prepares the namespaces and the project of a shape.
func (b *bench) shape(name string) *shape {
	b.Helper()
	s := &shape{name: name, project: "acme/apps/" + name, dir: filepath.Join("testdata", "shapes", name), namespace: b.cluster.Namespace(b), second: b.cluster.Namespace(b)}
	for _, namespace := range []string{s.namespace, s.second} {
		b.must(rig.Allow(context.Background(), b.cluster, rig.Access{Group: "gitlab:gitops", Namespace: namespace, Role: "edit"}))
	}
	if !strings.Contains(b.text(s, "config.yaml"), " id:") {
		s.project = agentProject
		return s
	}
	b.Project(s.project)
	return s
}

func (s *shape) fill(text string) string {
	return strings.NewReplacer("NAMESPACE", s.namespace, "SECOND", s.second, "VALUES", s.values).Replace(text)
}

func (b *bench) text(s *shape, file string) string {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, file))
	b.must(err)
	return s.fill(string(text))
}

func (b *bench) lines(s *shape, file string) []string {
	b.Helper()
	return strings.Split(strings.TrimSpace(b.text(s, file)), "\n")
}

// repository is a folder of the shape.
func (b *bench) repository(s *shape, folder string) map[string]string {
	b.Helper()
	root, out := filepath.Join(s.dir, folder), map[string]string{}
	b.must(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		out[filepath.ToSlash(rel)] = b.text(s, filepath.Join(folder, rel))
		return err
	}))
	return out
}

// pushShape makes the shape's repository what a folder of it holds.
func (b *bench) pushShape(s *shape, folder string) string {
	b.Helper()
	changes := map[string]*string{}
	if folder == "after" {
		for name := range b.repository(s, "before") {
			changes[name] = nil
		}
	}
	for name, text := range b.repository(s, folder) {
		changes[name] = &text
	}
	sha, err := b.gitlab.PushFiles(s.project, "", changes)
	b.must(err)
	return sha
}

// configureOld puts the shape's configuration where GitLab's agent read it.
func (b *bench) configureOld(s *shape) string {
	b.Helper()
	sha, err := b.gitlab.Push(agentProject, "", map[string]string{".gitlab/agents/" + agentName + "/config.yaml": b.text(s, "config.yaml")})
	b.must(err)
	return sha
}

func (b *bench) takeOver(s *shape, record string) {
	b.Helper()
	r := b.resources()
	project, err := b.gitlab.Project(s.project)
	b.must(err)
	namespace := s.namespace
	if !strings.Contains(b.text(s, "config.yaml"), "default_namespace: ") {
		namespace = metav1.NamespaceDefault
		b.must(rig.Allow(context.Background(), b.cluster, rig.Access{Group: "gitlab:gitops", Namespace: namespace, Role: "edit"}))
	}
	listed := b.lines(s, "objects.txt")
	var old []*unstructured.Unstructured
	for _, o := range r.decode(b.repository(s, "before"), namespace) {
		if o.GetLabels()[inventoryLabel] != "" || slices.Contains(listed, string(refOf(o))) {
			old = append(old, o)
		}
	}
	inventory := r.asOldAgent(old, fmt.Sprintf("%d-%d", b.opts.AgentID, project.ID), namespace, record)
	was := map[ref]types.UID{inventory: r.uid(inventory)}
	for _, o := range listed {
		was[ref(o)] = r.uid(ref(o))
	}

	commit := b.pushShape(s, "before")
	configured := b.configureOld(s)
	if s.project == agentProject {
		commit = configured
	}
	want := b.lines(s, "want.txt")
	b.said(s, commit, want[0])
	for o, uid := range was {
		if got := r.uid(o); got != uid || uid == "" {
			b.Errorf("%s was %q and is %q", o, uid, got)
		}
	}
	b.nothingElse(s)
	b.inventoryHolds(inventory, len(listed))

	b.said(s, b.pushShape(s, "after"), want[1])
	left := 0
	for _, o := range r.decode(b.repository(s, "after"), namespace) {
		if uid, old := was[refOf(o)]; old && o.GetLabels()[inventoryLabel] == "" {
			left++
			if got := r.uid(refOf(o)); got != uid {
				b.Errorf("%s was %q and is %q after a change", refOf(o), uid, got)
			}
		}
	}
	gone := 0
	for o := range was {
		if r.uid(o) == "" {
			gone++
		}
	}
	if left == 0 || left+gone+1 != len(was) {
		b.Errorf("%d of %d objects have stayed, %d are gone", left, len(listed), gone)
	}
	b.leaveDefault(s, r, listed)
}

// said waits for what GitLab hears of the shape's entry.
func (b *bench) said(s *shape, commit, want string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	st, err := b.gitlab.WaitCommitStatus(ctx, s.project, commit, "towline/"+agentName+"/"+s.project, "success", "failed")
	b.must(err)
	if st.Status != "success" || st.Description != want {
		b.Errorf("%s: %s, want success: %s", st.Status, st.Description, want)
	}
}

// nothingElse looks for objects that no glob has chosen.
func (b *bench) nothingElse(s *shape) {
	b.Helper()
	for _, namespace := range []string{s.namespace, s.second} {
		maps, err := b.kube.CoreV1().ConfigMaps(namespace).List(context.Background(), metav1.ListOptions{})
		b.must(err)
		for _, cm := range maps.Items {
			if cm.Data["color"] == "none" {
				b.Errorf("ConfigMap %s/%s was not chosen and is there", namespace, cm.Name)
			}
		}
	}
}

func (b *bench) inventoryHolds(inventory ref, n int) {
	b.Helper()
	_, namespace, name := inventory.parts()
	var cm *corev1.ConfigMap
	b.eventually("the inventory", func(ctx context.Context) bool {
		var err error
		cm, err = b.kube.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		b.must(err)
		return len(cm.Data) == n
	})
	// Not everywhere: another test's agent and project may have the same numbers.
	found := 0
	for _, place := range slices.Compact(slices.Sorted(slices.Values([]string{namespace, b.namespace, metav1.NamespaceDefault}))) {
		all, err := b.kube.CoreV1().ConfigMaps(place).List(context.Background(), metav1.ListOptions{LabelSelector: inventoryLabel + "=" + cm.Labels[inventoryLabel]})
		b.must(err)
		found += len(all.Items)
	}
	if found != 1 {
		b.Errorf("%d inventories with one id", found)
	}
}

// leaveDefault removes what a shape has put into the namespace that all share.
func (b *bench) leaveDefault(s *shape, r *resources, listed []string) {
	b.Helper()
	_, err := b.gitlab.Push(agentProject, "", map[string]string{".gitlab/agents/" + agentName + "/config.yaml": ""})
	b.must(err)
	for _, o := range listed {
		gk, namespace, name := ref(o).parts()
		if namespace == metav1.NamespaceDefault && r.uid(ref(o)) != "" {
			b.must(r.of(gk, namespace).Delete(context.Background(), name, metav1.DeleteOptions{}))
		}
	}
}
