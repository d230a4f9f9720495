package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// same are command lines that print what git prints. Lines with | are several
// commands.
var same = []string{
	"rev-parse HEAD", "rev-parse --short HEAD", "rev-parse --short=10 HEAD", "rev-parse --abbrev-ref HEAD",
	"rev-parse --show-toplevel", "rev-parse --git-dir", "rev-parse --is-inside-work-tree", "rev-parse --verify HEAD",
	"rev-parse HEAD^{commit}", "rev-parse HEAD^{tree}", "rev-parse HEAD~1", "rev-parse HEAD^", "rev-parse HEAD~1^1", "rev-parse v1.0.0", "rev-parse v1.0.0^{}",
	"rev-parse --verify -q nothing", "rev-parse --verify nothing", "rev-parse nothing", "rev-parse HEAD~99", "rev-parse main HEAD", "rev-parse --is-shallow-repository",
	"rev-parse HEAD:dir/b.txt", "rev-parse --show-prefix",
	"-C dir rev-parse --show-prefix", "-C dir rev-parse --show-toplevel",
	"log", "log -1", "log -n 2 --oneline", "log --oneline --no-decorate", "log --format=%H", "log -1 --pretty=format:%h|%an|%ae|%s",
	"log --pretty=format:%h -n 2", "log -1 --format=%ad|%aI|%cI|%cd|%ct|%at", "log -1 --format=%B", "log -1 --format=%b", "log -1 --format=%P%n%T%n%p%n%t",
	"log -1 --format=%x00", "log --format=%h -- dir", "log --format=%s a.txt", "log --oneline HEAD~1..HEAD", "log --oneline v1.0.0..", "log --format=%s --reverse",
	"log --format=%s --no-merges", "log --format=%s --skip 1", "log --format=%s --since=2024-01-02T00:00:00Z", "log --format=%s --grep=second", "log -1 --date=short --format=%ad", "log -1 --date=iso --format=%cd",
	"log -1 --date=format:%Y%m%d --format=%cd", "log -1 --name-only --format=%h", "log --name-status --oneline", "log --format=%s nothing", "log -1 --format=%D", "log -1 --format=%d v1.0.0", "--no-pager log -1 --format=%f",
	"show -s --format=%s", "show HEAD:a.txt", "show HEAD~1:a.txt", "show HEAD:missing", "show --name-only --format=%h", "show", "show --stat --format=%s",
	"status --porcelain", "status -s", "status --porcelain -- dir", "status --porcelain -uno", "status --porcelain -uall", "status --porcelain -b",
	"diff", "diff --name-only", "diff --name-status", "diff --stat", "diff --quiet", "diff --exit-code --name-only", "diff --cached", "diff --cached --name-status", "diff HEAD --name-only",
	"diff HEAD~1 HEAD", "diff HEAD~1..HEAD --name-only", "diff v1.0.0...HEAD --name-status", "diff HEAD~1 HEAD -- a.txt", "diff --name-only -- dir", "diff --shortstat HEAD~2 HEAD", "diff --stat HEAD~2 HEAD", "diff -U0 HEAD~1 HEAD -- a.txt", "diff --diff-filter=A --name-only HEAD~2 HEAD",
	"describe", "describe --tags", "describe --tags --always", "describe --tags --dirty", "describe --abbrev=0", "describe --tags --abbrev=0", "describe --exact-match", "describe --exact-match v1.0.0", "describe --tags --long v1.0.0", "describe --always --abbrev=10 --match nothing*", "describe --tags --match v1*",
	"branch --show-current", "branch", "branch --list", "branch -a", "branch --format=%(refname:short)",
	"tag", "tag -l", "tag -l v1*", "tag --list light", "tag --points-at v1.0.0", "tag --points-at HEAD", "tag --sort=v:refname", "tag --sort=-v:refname",
	"ls-files", "ls-files -s", "ls-files dir", "ls-files -m", "ls-files -d", "ls-files -o --exclude-standard", "ls-files --error-unmatch nothing", "-C dir ls-files",
	"ls-tree HEAD", "ls-tree -r HEAD", "ls-tree --name-only HEAD", "ls-tree -r --name-only HEAD dir", "ls-tree HEAD dir/",
	"cat-file -p HEAD", "cat-file -t HEAD", "cat-file -t v1.0.0", "cat-file -e HEAD", "cat-file -e nothing", "cat-file -p HEAD:a.txt", "cat-file -s HEAD:a.txt", "cat-file -p HEAD^{tree}",
	"merge-base HEAD HEAD~1", "merge-base main side", "merge-base --is-ancestor HEAD~1 HEAD", "merge-base --is-ancestor HEAD HEAD~1",
	"rev-list --count HEAD", "rev-list HEAD -n 1", "rev-list --max-count=2 HEAD", "rev-list HEAD~1..HEAD", "rev-list --count side..main",
	"remote", "remote -v", "remote get-url origin", "remote get-url nothing",
	"config user.name", "config --get user.email", "config nothing.here", "config user.name other | config user.name", "config --local a.b c | config --get a.b", "config --add a.b c | config --get a.b", "config --replace-all a.b c | config --get a.b", "config remote.origin.url", "-c user.name=x config user.name",
	"checkout -q side | log -1 --format=%s", "checkout -q -f side | status --porcelain", "checkout -q -f v1.0.0 | rev-parse --abbrev-ref HEAD", "checkout -q -b new | branch --show-current", "switch -q -c other | branch --show-current",
	"checkout -- a.txt | status --porcelain", "checkout HEAD~1 -- a.txt | status --porcelain", "restore a.txt | diff --name-only", "restore --staged staged.txt | status --porcelain", "checkout -q nothing",
	"reset -q --hard | status --porcelain", "reset -q | status --porcelain", "reset -q --soft HEAD~1 | status --porcelain",
	"add a.txt | status --porcelain", "add . | status --porcelain", "add -A | diff --cached --name-status", "add -u | status --porcelain", "add missing", "add dir/new.txt | ls-files -o --exclude-standard",
	"commit -q -m message | log --format=%an|%s -1", "commit -qam all | status --porcelain", "commit -q --allow-empty -m one -m two | log -1 --format=%B", "rm -q dir/b.txt | status --porcelain", "rm --cached -q a.txt | status --porcelain", "add -A | commit -q -m x | rev-parse HEAD",
	"tag new | tag", "tag -a -m text ann | cat-file -t ann", "tag v1.0.0", "branch fresh HEAD~1 | rev-parse fresh", "reset --hard HEAD~1",
}

var environ = []string{
	"GIT_AUTHOR_DATE=2024-05-01T00:00:00Z", "GIT_COMMITTER_DATE=2024-05-01T00:00:00Z", "GIT_CONFIG_NOSYSTEM=1", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C", "HOME=/nonexistent", "TZ=UTC",
}

// TestSameAsGit compares standard output and exit code in two copies of one
// repository.
func TestSameAsGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("this test compares with git: apt-get install git")
	}
	model := filepath.Join(t.TempDir(), "repo")
	build(t, model)
	for _, line := range same {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			// The same path for both, one after the other, since git prints it.
			work := model
			if !reads(line) {
				work = filepath.Join(t.TempDir(), "repo")
			}
			var want, got []answer
			var said string
			for _, ours := range []bool{false, true} {
				if work != model {
					fresh(t, model, work)
				}
				for command := range strings.SplitSeq(line, " | ") {
					args := strings.Fields(command)
					if ours {
						a, errs := run(t.Context(), &Git{}, work, args)
						got, said = append(got, a), said+errs
						continue
					}
					want = append(want, real(t, work, args))
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-git +here)\n%s\nthis one says %s", d, said)
			}
		})
	}
}

// reads says whether a line changes nothing, so that all such lines can share
// the repository.
func reads(line string) bool {
	verbs := []string{"rev-parse", "log", "show", "describe", "diff", "status", "ls-files", "ls-tree", "cat-file", "merge-base", "rev-list"}
	return !strings.Contains(line, " | ") && slices.ContainsFunc(strings.Fields(line), func(word string) bool { return slices.Contains(verbs, word) })
}

func fresh(t *testing.T, model, work string) {
	t.Helper()
	if err := os.RemoveAll(work); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(work, os.DirFS(model)); err != nil {
		t.Fatal(err)
	}
}

type answer struct {
	Code int
	Out  string
}

func real(t *testing.T, dir string, args []string) answer {
	t.Helper()
	cmd := exec.Command("git", args...)
	var out bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout = dir, append([]string{"PATH=" + os.Getenv("PATH")}, environ...), &out
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return answer{cmd.ProcessState.ExitCode(), out.String()}
}

// run carries out a command here.
func run(ctx context.Context, g *Git, dir string, args []string) (answer, string) {
	var out, errs strings.Builder
	code := g.Run(ctx, tool.Invocation{
		Name: "git", Args: args, Dir: dir, Environ: environ, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
	})
	return answer{code, out.String()}, errs.String()
}

// build makes a repository with three commits, a side branch, tags, and changes
// of all kinds.
func build(t *testing.T, dir string) {
	t.Helper()
	day := 0
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		date := fmt.Sprintf("2024-01-%02dT03:04:05+02:00", day)
		cmd.Dir = dir
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, append(environ, "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	commit := func(message string) {
		day++
		git("add", "-A")
		git("commit", "-q", "-m", message)
	}
	write("a.txt", "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n")
	write("dir/b.txt", "b\n")
	write(".gitignore", "*.log\n")
	git("init", "-q", "--template=", "-b", "main")
	git("config", "user.name", "A Name")
	git("config", "user.email", "a@example.com")
	git("remote", "add", "origin", "https://example.com/group/app.git")
	commit("first")
	git("tag", "-a", "-m", "release", "v1.0.0")
	git("branch", "side")
	write("a.txt", "one\ntwo\nTHREE\nfour\nfive\nsix\nseven\neight\nnine\nten\n")
	commit("second\n\nwith a body\nof two lines")
	git("tag", "light")
	git("tag", "v1.10.0")
	write("dir/c.sh", "#!/bin/sh\n")
	if err := os.Remove(filepath.Join(dir, ".gitignore")); err != nil {
		t.Fatal(err)
	}
	write(".gitignore", "*.log\n*.tmp\n")
	commit("third")
	write("a.txt", "one\ntwo\nTHREE\nfour\nfive\nsix\nseven\neight\nnine\nten\nmore\n")
	write("staged.txt", "staged\n")
	git("add", "staged.txt")
	write("dir/new.txt", "new\n")
	write("fresh/x/y.txt", "y\n")
	write("ignored.log", "log\n")
}
