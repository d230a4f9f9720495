package towline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/towline/towline/services/runner/internal/inquiry"
	"github.com/towline/towline/services/runner/internal/preview"
	"github.com/towline/towline/services/runner/internal/syncer"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes of diff of an entry.
const (
	exitChanges = 1 // with --exit-code
	exitTrouble = 2
)

const reportMode = 0o644

// diffFlags are the command line of diff of an entry.
type diffFlags struct {
	entry    string
	dir      string
	report   string
	exitCode bool
}

// diff is kubectl's when files are named, whose comparison is the server's own:
// the object as it is beside the answer to a dry run, with the values of secrets
// masked. Otherwise it is about an entry of gitops.
func (t *Towline) diff(ctx context.Context, inv tool.Invocation) int {
	if ofFiles(inv.Args) {
		inner := inv
		inner.Name, inner.Args = "kubectl", append([]string{"diff"}, inv.Args...)
		return inv.Run(ctx, inner)
	}
	var d diffFlags
	f := newFlags("diff")
	f.StringVar(&d.dir, "dir", "", "the working tree")
	f.StringVar(&d.report, "report", "", "file for a code quality report")
	f.BoolVar(&d.exitCode, "exit-code", false, "exit with 1 when something would change")
	getter := t.connection(inv, f)
	err := f.Parse(inv.Args)
	if err == nil && f.NArg() > 1 {
		err = errors.New("name one entry, or files with -f")
	}
	if d.entry = f.Arg(0); err == nil {
		err = inquiry.Question{Entry: d.entry}.Check()
	}
	if err != nil {
		fmt.Fprintf(inv.Stderr, "towline diff: %v\n%s", err, usage)
		return exitTrouble
	}
	changes, err := t.changes(ctx, inv, d, getter.ToRESTConfig)
	if err != nil {
		fmt.Fprintf(inv.Stderr, "towline diff: %v\n", err)
		return exitTrouble
	}
	changes.Print(inv.Stdout)
	for _, p := range changes.Problems {
		fmt.Fprintln(inv.Stderr, "towline diff:", p.Text)
	}
	switch {
	case len(changes.Problems) > 0:
		return exitTrouble
	case d.exitCode && changes.Any():
		return exitChanges
	}
	return 0
}

// ofFiles says whether a command line is one of kubectl diff.
func ofFiles(args []string) bool {
	for _, a := range args {
		for _, flag := range []string{"-f", "-k", "--filename", "--kustomize"} {
			if a == flag || strings.HasPrefix(a, flag+"=") || len(flag) == 2 && strings.HasPrefix(a, flag) {
				return true
			}
		}
	}
	return false
}

// changes are what the working tree would change, also written to the report.
func (t *Towline) changes(ctx context.Context, inv tool.Invocation, d diffFlags, connect func() (*rest.Config, error)) (preview.Changes, error) {
	settings, err := t.settings(ctx, inv, d)
	if err != nil {
		return preview.Changes{}, err
	}
	variables, err := variablesOf(inv, settings.Entry)
	if err != nil {
		return preview.Changes{}, err
	}
	files, err := preview.Tree(d.tree(inv), settings.Entry)
	if err != nil {
		return preview.Changes{}, err
	}
	cfg, err := connect()
	if err != nil {
		return preview.Changes{}, err
	}
	tried, err := syncer.Try(ctx, cfg, syncer.Candidate{Entry: settings.Entry, Inventory: settings.Inventory, Variables: variables, Files: files}, t.outside)
	if err != nil {
		return preview.Changes{}, fmt.Errorf("%w (the comparison has the rights of this job, not those of the entry)", err)
	}
	changes, err := preview.Of(&tried.Report, tried, settings.Entry.Replace && settings.Entry.Chart == nil)
	changes.Release, changes.Unchanged = tried.Release, changes.Unchanged+tried.Unchanged
	for _, h := range tried.Hooks {
		changes.Hooks = append(changes.Hooks, preview.Note(h))
	}
	if err != nil || d.report == "" {
		return changes, err
	}
	text, err := changes.Report(settings.Entry)
	if err != nil {
		return changes, err
	}
	return changes, os.WriteFile(inv.Path(d.report), text, reportMode)
}

// tree is the directory of the working tree.
func (d diffFlags) tree(inv tool.Invocation) string {
	if d.dir != "" {
		return inv.Path(d.dir)
	}
	if project, ok := inv.Getenv("CI_PROJECT_DIR"); ok && project != "" {
		return project
	}
	return inv.Dir
}

// settings are those of the entry.
func (t *Towline) settings(ctx context.Context, inv tool.Invocation, d diffFlags) (*inquiry.Settings, error) {
	if t.ask == nil {
		return nil, errors.New("there is no runner to ask: an entry can be compared in a job only; name files with -f")
	}
	a, err := t.ask(ctx, inquiry.Question{Entry: d.entry, Settings: true})
	switch {
	case err != nil:
		return nil, err
	case a.Refusal != "":
		return nil, errors.New(a.Refusal)
	case a.Settings == nil:
		return nil, fmt.Errorf("the runner does not say what %s does", a.Entry)
	}
	if project, _ := inv.Getenv("CI_PROJECT_PATH"); d.dir == "" && !strings.EqualFold(project, a.Project) {
		return nil, fmt.Errorf("the source of %s is %s, and this working tree is of %s; name a tree of the source with --dir", a.Entry, a.Project, project)
	}
	return a.Settings, nil
}
