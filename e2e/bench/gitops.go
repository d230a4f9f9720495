package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
)

// Goals of gitops as a whole.
const (
	goalApplied = 3    // seconds from a push until the cluster holds it
	goalSources = 0.01 // of a core, for manySources that do not change
)

// How gitops is measured: with the settings that the chart has.
const (
	gitopsNamespace = "bench-gitops"
	gitopsAgents    = "bench/agents"
	followed        = "bench/followed"
	followedObjects = 20
	gitopsPushes    = 10
	gitopsEvery     = 3 * time.Second // the tunnel's usual --gitops-interval
	manySources     = 100
	restFor         = 30 * time.Second
)

// follower is an installation of its own that follows repositories.
type follower struct {
	*site
	rig   *rig.Rig
	kube  kubernetes.Interface
	token string
}

// measureGitOps times the way of a commit into the cluster, and what many
// repositories cost in which nothing happens.
func measureGitOps(ctx context.Context, s *site, _ options, r *report) (err error) {
	f := &follower{site: s}
	if err := f.start(ctx); err != nil {
		return err
	}
	defer func() {
		if stopped := f.rig.Stop(); err == nil {
			err = stopped
		}
	}()
	took, err := f.pushes(ctx)
	if err != nil {
		return err
	}
	longest := took[0]
	for _, t := range took {
		longest = max(longest, t)
	}
	fmt.Fprintf(r.out, "\nfrom a push until the cluster holds it, one changed object of %d, each repository asked every %s: median %.2f s, longest %.2f s of %d\n",
		followedObjects, gitopsEvery, median(took).Seconds(), longest.Seconds(), len(took))
	r.atMost("commit to applied, seconds", median(took).Seconds(), goalApplied)
	without, with, err := f.rest(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "\nat rest, percent of a core:\n\n")
	var idle float64
	for n, name := range []string{"policy", "tunnel", "runner"} {
		idle += with[n] - without[n]
		fmt.Fprintf(r.out, "  %-8s %.2f without repositories, %.2f with %d\n", name, without[n]*100, with[n]*100, manySources)
	}
	r.atMost(fmt.Sprintf("idle cost of %d repositories, of a core", manySources), idle, goalSources)
	return nil
}

func (f *follower) start(ctx context.Context) error {
	cfg, err := f.cluster.RESTConfig()
	if err != nil {
		return err
	}
	if f.kube, err = kubernetes.NewForConfig(cfg); err != nil {
		return err
	}
	if _, err := f.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: gitopsNamespace}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := rig.Allow(ctx, f.cluster, rig.Access{Group: "gitlab:gitops", Namespace: gitopsNamespace, Role: "edit"}); err != nil {
		return err
	}
	dir := filepath.Join(f.dir, "gitops")
	files := filepath.Join(dir, "agents")
	if err := os.MkdirAll(filepath.Join(files, ".gitlab/agents", agentName), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(files, ".gitlab/agents", agentName, "towline.yaml"), []byte(entries(1)), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(files, ".gitlab/agents", agentName, "config.yaml"), nil, 0o600); err != nil {
		return err
	}
	opts, _, err := rig.Site{
		GitLab: f.gitlab, Cluster: f.cluster, Project: gitopsAgents, Agent: agentName, Dir: files, Environment: environment, Namespace: gitopsNamespace,
	}.Prepare(ctx)
	if err != nil {
		return err
	}
	if err := f.project(ctx, followed); err != nil {
		return err
	}
	if f.token, err = f.gitlab.CreateAccessToken(ctx, sim.AccessTokenOptions{Scopes: []string{"api"}}); err != nil {
		return err
	}
	token := filepath.Join(dir, "gitops.token")
	if err := os.WriteFile(token, []byte(f.token), 0o600); err != nil {
		return err
	}
	opts.RedisURL, opts.RedisPrefix, opts.GitLabURL, opts.Dir, opts.Progress = f.redisURL, "gitops", f.url, dir, f.progress
	opts.TunnelArgs = []string{"--gitops", "--gitops-token-file=" + token, "--gitops-interval=" + gitopsEvery.String()}
	f.rig, err = rig.Start(ctx, opts)
	return err
}

// project makes a repository of followedObjects.
func (f *follower) project(ctx context.Context, path string) error {
	if _, err := f.gitlab.CreateProject(ctx, sim.ProjectOptions{Path: path}); err != nil {
		return err
	}
	files := map[string]string{}
	for n := range followedObjects {
		files[fmt.Sprintf("k8s/c%02d.yaml", n)] = followedMap(path, n, "0")
	}
	_, err := f.gitlab.Push(ctx, path, "main", files)
	return err
}

func followedMap(project string, n int, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s-%02d}\ndata: {value: %q}\n", filepath.Base(project), n, value)
}

func resting(n int) string { return fmt.Sprintf("bench/resting-%03d", n) }

// entries is a towline.yaml that follows repositories: the first one, and others
// at rest.
func entries(count int) string {
	list := []string{}
	for n := range count {
		project := followed
		if n > 0 {
			project = resting(n)
		}
		list = append(list, fmt.Sprintf("{id: %s, default_namespace: %s, paths: [{glob: \"k8s/**/*.yaml\"}]}", project, gitopsNamespace))
	}
	return "gitops:\n  manifest_projects: [" + strings.Join(list, ",\n    ") + "]\n"
}

// applied waits until the cluster holds a value.
func (f *follower) applied(ctx context.Context, project, value string) error {
	ctx, cancel := context.WithTimeout(ctx, jobWithin)
	defer cancel()
	name := filepath.Base(project) + "-00"
	for {
		cm, err := f.kube.CoreV1().ConfigMaps(gitopsNamespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil && cm.Data["value"] == value:
			return nil
		case err != nil && !apierrors.IsNotFound(err):
			return fmt.Errorf("%s does not become %q: %w", name, value, err)
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("%s does not become %q: %w", name, value, err)
		}
	}
}

// pushes times changes of one object, at moments that are spread evenly over the
// interval in which GitLab is asked.
func (f *follower) pushes(ctx context.Context) ([]time.Duration, error) {
	if err := f.applied(ctx, followed, "0"); err != nil {
		return nil, err
	}
	var took []time.Duration
	for n := range gitopsPushes {
		if err := pause(ctx, gitopsEvery*time.Duration(n)/gitopsPushes); err != nil {
			return nil, err
		}
		value := fmt.Sprint(n + 1)
		began := time.Now()
		if _, err := f.gitlab.Push(ctx, followed, "main", map[string]string{"k8s/c00.yaml": followedMap(followed, 0, value)}); err != nil {
			return nil, err
		}
		if err := f.applied(ctx, followed, value); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// configure has the installation follow that many repositories.
func (f *follower) configure(ctx context.Context, count int) error {
	_, err := f.gitlab.Push(ctx, gitopsAgents, "main", map[string]string{".gitlab/agents/" + agentName + "/towline.yaml": entries(count)})
	return err
}

// shares are of a core: of policy, the tunnel, and the runner.
type shares [3]float64

// rest is what the services take without repositories, and with many in which
// nothing changes.
func (f *follower) rest(ctx context.Context) (none, many shares, err error) {
	for n := 1; n < manySources; n++ {
		if err := f.project(ctx, resting(n)); err != nil {
			return none, many, err
		}
	}
	if err := f.configure(ctx, 0); err != nil {
		return none, many, err
	}
	if none, err = f.share(ctx); err != nil {
		return none, many, err
	}
	if err := f.configure(ctx, manySources); err != nil {
		return none, many, err
	}
	for n := 1; n < manySources; n++ {
		if err := f.applied(ctx, resting(n), "0"); err != nil {
			return none, many, err
		}
	}
	many, err = f.share(ctx)
	return none, many, err
}

// share is what the services take for a while.
func (f *follower) share(ctx context.Context) (out shares, err error) {
	if err := pause(ctx, settle); err != nil {
		return out, err
	}
	before, err := f.used()
	if err != nil {
		return out, err
	}
	began := time.Now()
	if err := pause(ctx, restFor); err != nil {
		return out, err
	}
	after, err := f.used()
	for n := range out {
		out[n] = ratio(after[n]-before[n], time.Since(began))
	}
	return out, err
}

// used is the CPU time of the services so far, in the order of shares.
func (f *follower) used() (out [3]time.Duration, err error) {
	for n, s := range []*rig.Service{f.rig.Policy, f.rig.Tunnel, f.rig.Runner} {
		own, buried, err := processCPU(s.Pid())
		if err != nil {
			return out, err
		}
		out[n] = own + buried
	}
	return out, nil
}
