package gitlabsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// gitStore keeps one bare repository per project and is the only place that
// runs git.
type gitStore struct {
	dir       string
	temporary bool
	write     sync.Mutex // one writer at a time over all repositories
}

func newGitStore(dir string) (*gitStore, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, fmt.Errorf("find git: %w", err)
	}
	if dir != "" {
		return &gitStore{dir: dir}, os.MkdirAll(dir, 0o700)
	}
	dir, err := os.MkdirTemp("", "gitlabsim-")
	return &gitStore{dir: dir, temporary: true}, err
}

func (g *gitStore) close() error {
	if !g.temporary {
		return nil
	}
	return os.RemoveAll(g.dir)
}

func (g *gitStore) repo(project int64) string {
	return filepath.Join(g.dir, strconv.FormatInt(project, 10)+".git")
}

// command prepares git with a clean environment.
func (g *gitStore) command(ctx context.Context, project int64, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--git-dir", g.repo(project)}, args...)...)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "LC_ALL=C",
		"GIT_AUTHOR_NAME=Administrator", "GIT_AUTHOR_EMAIL=root@example.com",
		"GIT_COMMITTER_NAME=Administrator", "GIT_COMMITTER_EMAIL=root@example.com",
	}, env...)
	return cmd
}

func (g *gitStore) run(ctx context.Context, project int64, env []string, stdin []byte, args ...string) (string, error) {
	cmd := g.command(ctx, project, env, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}

// init makes the bare repository with what GitLab allows to be fetched.
func (g *gitStore) init(ctx context.Context, project int64, branch string) error {
	if _, err := g.run(ctx, project, nil, nil, "init", "--quiet", "--bare", "--initial-branch", branch, g.repo(project)); err != nil {
		return err
	}
	config, err := os.OpenFile(filepath.Join(g.repo(project), "config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configure repository: %w", err)
	}
	_, err = config.WriteString("[uploadpack]\n\tallowAnySHA1InWant = true\n\tallowFilter = true\n[gc]\n\tauto = 0\n")
	return errors.Join(err, config.Close())
}

// commit resolves a branch, tag or SHA.
func (g *gitStore) commit(ctx context.Context, project int64, ref string) (string, error) {
	for _, name := range []string{"refs/heads/" + ref, "refs/tags/" + ref, ref} {
		if strings.HasPrefix(name, "-") {
			continue
		}
		if out, err := g.run(ctx, project, nil, nil, "rev-parse", "--verify", "--quiet", name+"^{commit}"); err == nil {
			return strings.TrimSpace(out), nil
		}
	}
	return "", fmt.Errorf("no ref %q", ref)
}

func (g *gitStore) hasRef(ctx context.Context, project int64, ref string) bool {
	_, err := g.run(ctx, project, nil, nil, "rev-parse", "--verify", "--quiet", ref)
	return err == nil
}

var errNoFile = errors.New("no such file")

// file reads one blob of a commit.
func (g *gitStore) file(ctx context.Context, project int64, commit, name string) (blob string, content []byte, err error) {
	out, err := g.run(ctx, project, nil, nil, "ls-tree", "-z", commit, "--", ":(literal)"+name)
	if err != nil {
		return "", nil, err
	}
	meta, _, _ := strings.Cut(out, "\t")
	fields := strings.Fields(meta)
	if len(fields) != 3 || fields[1] != "blob" {
		return "", nil, errNoFile
	}
	text, err := g.run(ctx, project, nil, nil, "cat-file", "blob", fields[2])
	return fields[2], []byte(text), err
}

// files lists all paths of a commit below a directory.
func (g *gitStore) files(ctx context.Context, project int64, commit, dir string) ([]string, error) {
	out, err := g.run(ctx, project, nil, nil, "ls-tree", "-r", "-z", "--name-only", commit, "--", dir)
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(out, func(r rune) bool { return r == 0 }), nil
}

// describe answers subject and body, author and date of a commit.
func (g *gitStore) describe(ctx context.Context, project int64, commit string) (message, author, date string, err error) {
	out, err := g.run(ctx, project, nil, nil, "log", "-1", "--format=%an <%ae>%x00%cI%x00%B", commit)
	if err != nil {
		return "", "", "", err
	}
	parts := strings.SplitN(out, "\x00", 3)
	if len(parts) != 3 {
		return "", "", "", fmt.Errorf("commit %s unreadable", commit)
	}
	return strings.TrimRight(parts[2], "\n"), parts[0], parts[1], nil
}

// commitDir makes the content of a directory the next commit of a branch.
func (g *gitStore) commitDir(ctx context.Context, project int64, branch, dir string) (string, error) {
	return g.withIndex(ctx, project, branch, func(env []string, _ string) error {
		_, err := g.run(ctx, project, env, nil, "--work-tree", dir, "add", "--force", "--all", ".")
		return err
	}, dir)
}

// commitFiles changes single files of a branch; a nil content deletes.
func (g *gitStore) commitFiles(ctx context.Context, project int64, branch string, files map[string]*string) (string, error) {
	return g.withIndex(ctx, project, branch, func(env []string, parent string) error {
		if parent != "" {
			if _, err := g.run(ctx, project, env, nil, "read-tree", parent); err != nil {
				return err
			}
		}
		for _, name := range sortedKeys(files) {
			if err := g.stage(ctx, project, env, name, files[name]); err != nil {
				return err
			}
		}
		return nil
	}, "")
}

func (g *gitStore) stage(ctx context.Context, project int64, env []string, name string, content *string) error {
	if content == nil {
		_, err := g.run(ctx, project, env, nil, "rm", "--cached", "--quiet", "--ignore-unmatch", "--", name)
		return err
	}
	blob, err := g.run(ctx, project, env, []byte(*content), "hash-object", "-w", "--stdin")
	if err != nil {
		return err
	}
	mode := "100644"
	if strings.HasPrefix(*content, "#!") {
		mode = "100755"
	}
	_, err = g.run(ctx, project, env, nil, "update-index", "--add", "--cacheinfo", mode+","+strings.TrimSpace(blob)+","+name)
	return err
}

// withIndex fills a fresh index, commits it on top of the branch and moves the
// branch.
func (g *gitStore) withIndex(ctx context.Context, project int64, branch string, fill func(env []string, parent string) error, dir string) (string, error) {
	g.write.Lock()
	defer g.write.Unlock()
	tmp, err := os.MkdirTemp(g.dir, "index-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(tmp, "index")}
	if dir == "" {
		env = append(env, "GIT_WORK_TREE="+tmp)
	}
	parent, _ := g.run(ctx, project, nil, nil, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch)
	parent = strings.TrimSpace(parent)
	if err := fill(env, parent); err != nil {
		return "", err
	}
	tree, err := g.run(ctx, project, env, nil, "write-tree")
	if err != nil {
		return "", err
	}
	args := []string{"commit-tree", strings.TrimSpace(tree), "-m", "Update " + branch}
	if parent != "" {
		args = append(args, "-p", parent)
	}
	sha, err := g.run(ctx, project, nil, nil, args...)
	if err != nil {
		return "", err
	}
	sha = strings.TrimSpace(sha)
	return sha, g.setRef(ctx, project, "refs/heads/"+branch, sha)
}

func (g *gitStore) setRef(ctx context.Context, project int64, ref, sha string) error {
	args := []string{"update-ref", ref, sha}
	if sha == "" {
		args = []string{"update-ref", "-d", ref}
	}
	_, err := g.run(ctx, project, nil, nil, args...)
	return err
}

func sortedKeys(m map[string]*string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
