package kubectl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/openapi"
	"k8s.io/kubectl/pkg/cmd/diff"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	kubeopenapi "k8s.io/kubectl/pkg/util/openapi"
	"k8s.io/utils/exec"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
	"github.com/towline/towline/services/runner/internal/toolbox/unified"
)

// externalDiffEnv names another command that shows the differences.
const externalDiffEnv = "KUBECTL_EXTERNAL_DIFF"

// Exit codes of diff(1).
const (
	diffSame    = 0
	diffFound   = 1
	diffTrouble = 2
)

// maxDiffFile bounds one object as YAML.
const maxDiffFile = 32 << 20

// diffCommand is upstream's with a differ of this process in place of diff(1).
func diffCommand(c *command, f factory) *cobra.Command {
	cmd := diff.NewCmdDiff(f, c.streams)
	cmd.Run = nil
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := c.diffOptions(cmd)
		if err == nil {
			err = o.Complete(compiledTypes{f}, cmd, args)
		}
		if err == nil {
			err = o.Validate()
		}
		if err != nil {
			cmdutil.CheckDiffErr(err)
		}
		err = o.Run()
		if exit := exec.ExitError(nil); errors.As(err, &exit) && exit.ExitStatus() <= diffFound {
			return errExit
		}
		cmdutil.CheckDiffErr(err)
		return nil
	}
	return cmd
}

// diffOptions reads the flags again, which upstream's constructor keeps to
// itself.
func (c *command) diffOptions(cmd *cobra.Command) (*diff.DiffOptions, error) {
	o := diff.NewDiffOptions(c.streams)
	o.Diff.Exec = differ{c: c}
	flags := cmd.Flags()
	list := func(name string) []string {
		v, _ := flags.GetStringSlice(name)
		return v
	}
	o.FilenameOptions.Filenames = list("filename")
	o.FilenameOptions.Kustomize, _ = flags.GetString("kustomize")
	o.FilenameOptions.Recursive, _ = flags.GetBool("recursive")
	o.ShowManagedFields, _ = flags.GetBool("show-managed-fields")
	o.ShowSecrets, _ = flags.GetBool("show-secrets")
	o.Concurrency, _ = flags.GetInt("concurrency")
	o.FieldManager, _ = flags.GetString("field-manager")
	o.Selector, _ = flags.GetString("selector")
	if o.Concurrency < 1 {
		return nil, fmt.Errorf("--concurrency must be positive, not %d", o.Concurrency)
	}
	return o, nil
}

// compiledTypes is a factory without OpenAPI documents: patches of built-in
// kinds are computed from the types that are compiled in, as apply does here.
type compiledTypes struct{ factory }

var errNoOpenAPI = errors.New("patches are computed from compiled-in types")

// OpenAPISchema implements cmdutil.Factory.
func (compiledTypes) OpenAPISchema() (kubeopenapi.Resources, error) { return nil, errNoOpenAPI }

// OpenAPIV3Client implements cmdutil.Factory.
func (compiledTypes) OpenAPIV3Client() (openapi.Client, error) { return nil, errNoOpenAPI }

// differ runs what upstream takes for a program.
type differ struct {
	exec.Interface // upstream uses Command alone
	c              *command
}

// Command implements exec.Interface. Upstream has read the process's own
// environment to make args; the shell's counts.
func (d differ) Command(_ string, args ...string) exec.Cmd {
	dirs := args[max(0, len(args)-2):]
	external, _ := d.c.inv.Getenv(externalDiffEnv)
	return &differRun{c: d.c, words: strings.Fields(external), dirs: dirs}
}

type differRun struct {
	exec.Cmd // upstream uses what is below
	c        *command
	words    []string // of KUBECTL_EXTERNAL_DIFF
	dirs     []string
	out      io.Writer
	errs     io.Writer
}

// SetStdout implements exec.Cmd.
func (r *differRun) SetStdout(w io.Writer) { r.out = w }

// SetStderr implements exec.Cmd.
func (r *differRun) SetStderr(w io.Writer) { r.errs = w }

// Run implements exec.Cmd.
func (r *differRun) Run() error {
	if len(r.dirs) != 2 {
		return errors.New("two directories are needed")
	}
	code := diffSame
	if len(r.words) > 0 {
		code = r.external()
	} else {
		changed, err := diffDirectories(r.out, r.dirs[0], r.dirs[1])
		if err != nil {
			return err
		}
		if changed {
			code = diffFound
		}
	}
	if code != diffSame {
		return exec.CodeExitError{Err: fmt.Errorf("exit status %d", code), Code: code}
	}
	return nil
}

// safeWord is what upstream lets through of an external diff's arguments.
var safeWord = regexp.MustCompile(`^[a-zA-Z0-9-=]+$`)

func (r *differRun) external() int {
	var args []string
	for _, word := range r.words[1:] {
		if safeWord.MatchString(word) {
			args = append(args, word)
		}
	}
	inv := r.c.inv
	inv.Name, inv.Args, inv.Stdin, inv.Stdout, inv.Stderr = r.words[0], append(args, r.dirs...), strings.NewReader(""), r.out, r.errs
	return r.c.runTool(r.c.ctx, inv)
}

// diffDirectories does what `diff -u -N` does with two directories of files.
func diffDirectories(w io.Writer, from, to string) (changed bool, err error) {
	names, err := namesIn(from, to)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		a, b := filepath.Join(from, name), filepath.Join(to, name)
		before, err := diffFile(a)
		if err != nil {
			return changed, err
		}
		after, err := diffFile(b)
		if err != nil {
			return changed, err
		}
		text := unified.Diff(before.label, after.label, before.text, after.text)
		if text == "" {
			continue
		}
		changed = true
		if _, err := fmt.Fprintf(w, "diff -u -N %s %s\n%s", a, b, text); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// namesIn lists the files of both directories, each once, sorted.
func namesIn(dirs ...string) ([]string, error) {
	seen := map[string]bool{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			seen[e.Name()] = true
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

type diffSide struct{ label, text string }

// diffFile reads one side; a file that is not there is empty.
func diffFile(path string) (diffSide, error) {
	const stamp = "2006-01-02 15:04:05.000000000 -0700"
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return diffSide{label: path + "\t1970-01-01 00:00:00.000000000 +0000"}, nil
	}
	if err != nil {
		return diffSide{}, err
	}
	text, err := readAtMost(path, maxDiffFile)
	return diffSide{path + "\t" + info.ModTime().Format(stamp), string(text)}, err
}

// runTool carries out another command of the toolbox.
func (c *command) runTool(ctx context.Context, inv tool.Invocation) int {
	if inv.Run == nil {
		fmt.Fprintf(inv.Stderr, "%s: command not found\n", inv.Name)
		return exitNotFound
	}
	return inv.Run(ctx, inv)
}
