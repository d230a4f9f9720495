package place

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

var commands = map[string]tool.Command{"install": Install, "join": Join, "mktemp": Mktemp, "realpath": Realpath, "split": Split, "flock": Flock}

type result struct {
	Code        int
	Out, Errors string
	Files       map[string]string
}

const stdin = "one\ntwo\nthree\nfour\nfive"

// shell stands for the toolbox where a command runs another one.
func shell(_ context.Context, inv tool.Invocation) int {
	fmt.Fprintln(inv.Stdout, inv.Name, inv.Args)
	return 3
}

func here(t *testing.T, dir string, words []string) result {
	t.Helper()
	var out, errs strings.Builder
	code := commands[words[0]](t.Context(), tool.Invocation{
		Name: words[0], Args: words[1:], Dir: dir, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Run: shell,
	})
	return result{code, out.String(), errs.String(), files(t, dir)}
}

func real(t *testing.T, dir string, words []string) result {
	t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}, strings.NewReader(stdin), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("this test compares with %s: %v; on Debian or Ubuntu: apt-get install coreutils util-linux", words[0], err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String(), files(t, dir)}
}

// files lists a directory: permissions and content.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		out[rel] = info.Mode().String()
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			out[rel] += " " + string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// workspace is a directory with the files that the command lines use.
func workspace(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a": "k1 a1 x\nk2 a2\nk2 a3\nk4 a4 y\n", "b": "k1 b1\nk2 b2\nk2 b3\nk3 b5 z\n", "c.csv": "id,name\n1,x\n3,\n", "d.csv": "id,size\n1,7\n2,8\n3,9\n", "dir/f": "f\n",
		"empty": "", "tool": "#!/bin/sh\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("dir/f", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSameAsTheRealPrograms(t *testing.T) {
	for _, line := range []string{
		"install -d new/sub other", "install -dm 700 private", "install -m 755 tool bin", "install -D -m 0640 a x/y/z", "install -Dm644 a b dir", "install a b missing", "install -t dir a b",
		"install a", "install", "install missing x", "install dir x", "install a a", "install -v -m 600 a dir", "install -Dt deep/er a", "install -d -v one", "install --mode=4755 tool suid",
		"join a b", "join -a1 a b", "join -a 1 -a 2 a b", "join -v1 a b", "join -v 2 a b", "join -1 2 -2 1 a b", "join -t, c.csv d.csv", "join -t , -a 2 -e NONE -o 0,1.2,2.2 c.csv d.csv",
		"join -t, --header c.csv d.csv", "join -o 1.2,2.2 a b", "join a empty", "join -a1 a empty", "join a missing", "join -i a b", "join -j 1 a b", "join -o 1.x a b",
		"split", "split -l 2", "split -l2 - part-", "split -b 5 - p", "split -d -l 1 a n", "split -a 3 -b 1K a", "split -a1 -l1 - q", "split -da1 -b 2 a r", "split -l x a", "split missing",
		"split --additional-suffix=.txt --numeric-suffixes=5 -l 3", "split --verbose -l 3", "split empty", "split -b 1x a",
		"realpath a", "realpath dir/../a link", "realpath --relative-to=dir a", "realpath --relative-to dir dir/f", "realpath --relative-to=. link", "realpath missing", "realpath missing/x", "realpath -m missing/x/../y",
		"realpath -e missing", "realpath -s link", "realpath -q missing/x", "realpath --relative-base=. a /usr", "realpath -z a b", "realpath --relative-to=dir dir", "realpath -e --nope", "realpath",
	} {
		words := strings.Fields(line)
		mine, theirs := workspace(t), workspace(t)
		got, want := here(t, mine, words), real(t, theirs, words)
		want.Out, want.Errors = strings.ReplaceAll(want.Out, theirs, mine), strings.ReplaceAll(want.Errors, theirs, mine)
		if words[0] == "join" && want.Code == 1 || words[0] == "realpath" && strings.Contains(line, "relative") {
			want.Errors, got.Errors = "", ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-real +here)\n%s", line, diff)
		}
	}
}

func TestFlock(t *testing.T) {
	dir := workspace(t)
	for line, want := range map[string]struct {
		code int
		out  string
	}{
		"flock lock cmd a -b": {3, "cmd [a -b]\n"}, "flock -n -x lock cmd": {3, "cmd []\n"}, "flock lock -c words": {3, "sh [-c words]\n"}, "flock -w 1 -s dir cmd": {3, "cmd []\n"},
		"flock lock": {exitUsage, ""}, "flock -u 9": {exitUsage, ""}, "flock -w x lock cmd": {exitUsage, ""}, "flock missing/lock cmd": {exitNoFile, ""},
	} {
		got := here(t, dir, strings.Fields(line))
		if got.Code != want.code || got.Out != want.out || (want.out == "") != (got.Errors != "") {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestALockExcludesOthers(t *testing.T) {
	dir := workspace(t)
	held, release, ended := make(chan struct{}), make(chan struct{}), make(chan int)
	go func() {
		ended <- Flock(t.Context(), tool.Invocation{Args: []string{"lock", "hold"}, Dir: dir, Run: func(context.Context, tool.Invocation) int {
			close(held)
			<-release
			return 0
		}})
	}()
	<-held
	for line, want := range map[string]int{"flock -n lock cmd": 1, "flock -n -E 9 lock cmd": 9, "flock -w 0.05 lock cmd": 1} {
		if got := here(t, dir, strings.Fields(line)); got.Code != want || got.Out != "" {
			t.Errorf("%s while it is held: %+v", line, got)
		}
	}
	close(release)
	if code := <-ended; code != 0 {
		t.Errorf("the holder ended with %d", code)
	}
	if got := here(t, dir, []string{"flock", "-n", "lock", "cmd"}); got.Code != 3 {
		t.Errorf("after it was released: %+v", got)
	}
}
