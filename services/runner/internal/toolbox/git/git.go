package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	gogit "github.com/go-git/go-git/v5"
	"github.com/spf13/pflag"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes of git.
const (
	exitDifferent = 1
	exitUsage     = 129
	exitFatal     = 128
)

// versionText is what scripts compare with; the number is that of a git with
// the behaviour that is built here.
const versionText = "git version 2.39.0 (towline)"

// Config is what a job's git is told.
type Config struct {
	Proxy      string // way out, with its credentials; "" connects directly
	CA         string // PEM, to trust beside the system's; may be empty
	Repository string // URL of the job's own repository: its server gets the job token
}

// Git runs commands for one job. It is safe for concurrent use.
type Git struct {
	proxy, ca string
	origin    string // of the job's own repository; "" gives the token to nobody

	dial      sync.Once
	transport *http.Transport
	dialErr   error
}

// New connects to nothing yet.
func New(c Config) *Git {
	g := &Git{proxy: c.Proxy, ca: c.CA}
	if u, err := url.Parse(c.Repository); err == nil && u.Host != "" {
		g.origin = origin(u)
	}
	return g
}

// command is one invocation.
type command struct {
	inv      tool.Invocation
	git      *Git
	settings map[string]string // of -c
	repo     *gogit.Repository // nil until it is needed
	root     string            // of the work tree
}

// exit ends a command with a code and, perhaps, a message.
type exit struct {
	code int
	text string
}

func (e exit) Error() string { return e.text }

func fatal(format string, args ...any) error {
	return exit{exitFatal, "fatal: " + fmt.Sprintf(format, args...)}
}

// subcommands are what is there.
func subcommands() map[string]func(*command, context.Context, []string) error {
	return map[string]func(*command, context.Context, []string) error{
		"add": (*command).add, "branch": (*command).branch, "cat-file": (*command).catFile,
		"checkout": (*command).checkout, "clone": (*command).clone, "commit": (*command).commit,
		"config": (*command).config, "describe": (*command).describe, "diff": (*command).diff,
		"fetch": (*command).fetch, "init": (*command).initialise, "log": (*command).log,
		"ls-files": (*command).lsFiles, "ls-tree": (*command).lsTree, "merge-base": (*command).mergeBase,
		"push": (*command).push, "remote": (*command).remote, "reset": (*command).reset,
		"restore": (*command).restore, "rev-list": (*command).revList, "rev-parse": (*command).revParse,
		"rm": (*command).remove, "show": (*command).show, "status": (*command).status,
		"switch": (*command).switchTo, "tag": (*command).tag,
	}
}

// Run is the command.
func (g *Git) Run(ctx context.Context, inv tool.Invocation) int {
	c := &command{inv: inv, git: g, settings: map[string]string{}}
	err := c.run(ctx)
	var e exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		if e.text != "" {
			fmt.Fprintln(inv.Stderr, e.text)
		}
		return e.code
	}
	fmt.Fprintf(inv.Stderr, "fatal: %s\n", c.redact(err.Error()))
	return exitFatal
}

func (c *command) run(ctx context.Context) error {
	args, err := c.global(c.inv.Args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return exit{1, usage()}
	}
	if args[0] == "version" {
		fmt.Fprintln(c.inv.Stdout, versionText)
		return nil
	}
	run := subcommands()[args[0]]
	if run == nil {
		return exit{1, fmt.Sprintf("git: '%s' is not available in a job.\n%s", args[0], usage())}
	}
	return run(c, ctx, args[1:])
}

func usage() string {
	return "Available: git " + strings.Join(slices.Sorted(maps.Keys(subcommands())), ", ")
}

// global reads the options before the subcommand.
func (c *command) global(args []string) ([]string, error) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		option := args[0]
		args = args[1:]
		switch {
		case option == "--no-pager", option == "-P", option == "--no-optional-locks":
		case option == "--version", option == "-v":
			return []string{"version"}, nil
		case option == "--help", option == "-h":
			fmt.Fprintln(c.inv.Stdout, usage())
			return nil, exit{0, ""}
		case (option == "-C" || option == "-c") && len(args) > 0:
			if option == "-C" {
				c.inv.Dir = c.inv.Path(args[0])
			} else {
				key, value, _ := strings.Cut(args[0], "=")
				c.settings[strings.ToLower(key)] = value
			}
			args = args[1:]
		default:
			return nil, exit{exitUsage, fmt.Sprintf("option %s is not available in a job: -C, -c and --no-pager are", option)}
		}
	}
	return args, nil
}

// open finds the repository of the directory.
func (c *command) open() error {
	if c.repo != nil {
		return nil
	}
	repo, err := gogit.PlainOpenWithOptions(c.inv.Dir, &gogit.PlainOpenOptions{DetectDotGit: true})
	if errors.Is(err, gogit.ErrRepositoryNotExists) {
		return fatal("not a git repository (or any of the parent directories): .git")
	}
	if err != nil {
		return err
	}
	c.repo = repo
	tree, err := repo.Worktree()
	if errors.Is(err, gogit.ErrIsBareRepository) {
		return nil
	}
	if err != nil {
		return err
	}
	c.root = tree.Filesystem.Root()
	return c.ensureIndex(tree)
}

// ensureIndex makes the index that a job's checkout comes without: the one of
// the commit that is checked out.
func (c *command) ensureIndex(tree *gogit.Worktree) error {
	if _, err := os.Stat(filepath.Join(c.root, ".git", "index")); err == nil {
		return nil
	}
	if _, err := c.repo.Head(); err != nil {
		return nil //nolint:nilerr // nothing is committed yet
	}
	return tree.Reset(&gogit.ResetOptions{Mode: gogit.MixedReset})
}

var count = regexp.MustCompile(`^-\d+$`)

// flags parses the options of a subcommand and opens the repository. What
// follows "--" are paths.
func (c *command) flags(name string, args []string, define func(*pflag.FlagSet)) (operands, paths []string, err error) {
	if at := slices.Index(args, "--"); at >= 0 {
		args, paths = args[:at], args[at+1:]
	}
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	if define != nil {
		define(f)
	}
	list := slices.Clone(args)
	for i, arg := range list {
		if count.MatchString(arg) {
			list[i] = "-n" + arg[1:]
		}
	}
	if err := f.Parse(list); err != nil {
		return nil, nil, exit{exitUsage, fmt.Sprintf("error: git %s: %v: this option is not available in a job", name, err)}
	}
	return f.Args(), paths, c.open()
}

// relative makes a path of the script relative to the work tree.
func (c *command) relative(path string) (string, error) {
	rel, err := filepath.Rel(c.root, c.inv.Path(path))
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", fatal("%s: '%s' is outside repository at '%s'", path, path, c.root)
	}
	return filepath.ToSlash(rel), nil
}

// pathspec is a set of files: all of them when empty.
type pathspec []string

func (c *command) pathspec(paths []string) (pathspec, error) {
	var out pathspec
	for _, p := range paths {
		rel, err := c.relative(p)
		if err != nil {
			return nil, err
		}
		out = append(out, rel)
	}
	return out, nil
}

func (p pathspec) has(file string) bool {
	if len(p) == 0 {
		return true
	}
	return slices.ContainsFunc(p, func(spec string) bool {
		if spec == "." || spec == file || strings.HasPrefix(file, spec+"/") {
			return true
		}
		ok, err := filepath.Match(spec, file)
		return err == nil && ok
	})
}
