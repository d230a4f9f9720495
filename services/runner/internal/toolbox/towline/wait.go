package towline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/dynamic"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const (
	defaultTimeout = 5 * time.Minute
	maxObjects     = 5000
	// explainTime bounds the questions about what is not ready.
	explainTime = 15 * time.Second
	// queries per second and at once: one list and one watch for each kind and
	// namespace.
	queries, burst = 50, 200
)

// waitFlags are the command line of wait.
type waitFlags struct {
	files     []string
	kustomize string
	recursive bool
	timeout   time.Duration
	quiet     bool
}

func (w *waitFlags) add(f *pflag.FlagSet) {
	f.StringSliceVarP(&w.files, "filename", "f", nil, "files of the objects")
	f.StringVarP(&w.kustomize, "kustomize", "k", "", "directory of a kustomization")
	f.BoolVarP(&w.recursive, "recursive", "R", false, "directories with their subdirectories")
	f.DurationVar(&w.timeout, "timeout", defaultTimeout, "how long to wait")
	f.BoolVarP(&w.quiet, "quiet", "q", false, "no line for each change")
}

// object is one of the set.
type object struct {
	kind      string // as messages show it
	namespace string
	name      string
	resource  schema.GroupVersionResource

	state state
	live  *unstructured.Unstructured
}

func (o *object) String() string { return o.kind + "/" + o.name }

// rollout is a set of objects being waited for.
type rollout struct {
	inv    tool.Invocation
	quiet  bool
	client dynamic.Interface
	start  time.Time

	objects []*object
	mu      sync.Mutex // guards the states of the objects and the output
}

func (t *Towline) wait(ctx context.Context, inv tool.Invocation) int {
	var w waitFlags
	f := newFlags("wait")
	w.add(f)
	getter := t.connection(inv, f)
	err := f.Parse(inv.Args)
	if err == nil && len(w.files) == 0 && w.kustomize == "" && f.NArg() == 0 {
		err = errors.New("say what to wait for: -f FILE, -k DIR or kind/name")
	}
	if err != nil {
		fmt.Fprintf(inv.Stderr, "towline wait: %v\n%s", err, usage)
		return exitUsage
	}
	objects, err := w.find(inv, getter, f)
	if err != nil {
		return fail(inv, "wait", err)
	}
	cfg, err := getter.ToRESTConfig()
	if err != nil {
		return fail(inv, "wait", err)
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = queries, burst
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return fail(inv, "wait", err)
	}
	r := &rollout{inv: inv, quiet: w.quiet, client: client, start: time.Now(), objects: objects}
	err = r.run(ctx, w.timeout)
	if err == nil {
		fmt.Fprintf(inv.Stdout, "%d objects are rolled out after %s\n", len(objects), time.Since(r.start).Round(100*time.Millisecond))
		return 0
	}
	if explainer, e := core.NewForConfig(cfg); e == nil {
		r.explain(ctx, explainer)
	}
	return fail(inv, "wait", err)
}

// find makes the set of objects from files and names.
func (w *waitFlags) find(inv tool.Invocation, getter genericclioptions.RESTClientGetter, f *pflag.FlagSet) ([]*object, error) {
	namespace, explicit, err := getter.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, err
	}
	b := resource.NewBuilder(getter).Unstructured().NamespaceParam(namespace).DefaultNamespace().Flatten()
	files := &resource.FilenameOptions{Kustomize: inv.Path(w.kustomize), Recursive: w.recursive}
	for _, name := range w.files {
		switch {
		case name == "-":
			b = b.Stream(inv.Stdin, "standard input")
		case strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://"):
			files.Filenames = append(files.Filenames, name)
		default:
			files.Filenames = append(files.Filenames, inv.Path(name))
		}
	}
	if len(files.Filenames) > 0 || files.Kustomize != "" {
		b = b.FilenameParam(explicit, files)
	}
	if f.NArg() > 0 {
		b = b.ResourceTypeOrNameArgs(true, f.Args()...)
	}
	infos, err := b.Do().Infos()
	if err != nil {
		return nil, err
	}
	if len(infos) == 0 || len(infos) > maxObjects {
		return nil, fmt.Errorf("%d objects to wait for; it has to be 1 to %d", len(infos), maxObjects)
	}
	out := make([]*object, 0, len(infos))
	for _, info := range infos {
		kind := info.Mapping.Resource.GroupResource().String()
		out = append(out, &object{
			kind: kind, namespace: info.Namespace, name: info.Name, resource: info.Mapping.Resource,
			state: notYet("has not been looked at"),
		})
	}
	return out, nil
}

// group is the objects that one watch covers.
type group struct {
	resource  schema.GroupVersionResource
	namespace string
}

// run waits for all objects.
func (r *rollout) run(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	groups := map[group][]*object{}
	for _, o := range r.objects {
		g := group{o.resource, o.namespace}
		groups[g] = append(groups[g], o)
	}
	problems := make(chan error, len(groups))
	var wg sync.WaitGroup
	for g, objects := range groups {
		wg.Go(func() {
			if err := r.follow(ctx, g, objects); err != nil {
				problems <- fmt.Errorf("%s: %w", g.resource.GroupResource(), err)
				cancel()
			}
		})
	}
	wg.Wait()
	close(problems)
	for err := range problems {
		if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("timed out after %s", timeout)
	}
	return ctx.Err()
}

// explain prints what is not ready, with the reasons.
func (r *rollout) explain(ctx context.Context, client core.CoreV1Interface) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainTime)
	defer cancel()
	table := tabwriter.NewWriter(r.inv.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nNOT READY\tNAMESPACE\tWHY")
	for _, o := range r.objects {
		if o.state.phase == ready {
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", o, o.namespace, o.state.why)
		for _, why := range reasons(ctx, client, o.live) {
			fmt.Fprintf(table, "\t\t%s\n", strings.ReplaceAll(why, "\n", " "))
		}
	}
	_ = table.Flush()
}
