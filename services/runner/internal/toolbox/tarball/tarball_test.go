package tarball

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// environment makes messages and times those of the tests.
var environment = []string{"LC_ALL=C", "TZ=UTC0", "PATH=" + os.Getenv("PATH")}

type result struct {
	Code        int
	Out, Errors string
	Left        string // what is in o.tar, and the files below x
}

// execute runs a program of this machine.
func execute(ctx context.Context, t *testing.T, inv tool.Invocation, program string, args ...string) int {
	t.Helper()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = inv.Dir, environment, inv.Stdin, inv.Stdout, inv.Stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) && cmd.ProcessState == nil {
		t.Errorf("%v; on Debian or Ubuntu: apt-get install tar busybox-static", err)
		return 127
	}
	return cmd.ProcessState.ExitCode()
}

func gnu(t *testing.T, inv tool.Invocation, args []string) int {
	return execute(t.Context(), t, inv, "tar", args...)
}

// here is the command, with the machine's busybox as the toolbox folder.
func here(t *testing.T, inv tool.Invocation, args []string) int {
	inv.Name, inv.Args, inv.Environ = "tar", args, environment
	inv.Run = func(ctx context.Context, inner tool.Invocation) int {
		if inner.Name == "tar" && Wanted(inner.Args) {
			t.Errorf("tar runs itself with %q", inner.Args)
		}
		return execute(ctx, t, inner, "busybox", append([]string{inner.Name}, inner.Args...)...)
	}
	return Run(t.Context(), inv)
}

var then = time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)

// tree makes files, and three archives of them.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"d/a.txt": "a\n", "d/sub/b.o": strings.Repeat("b", 5000), "d/sub/deep/c.md": "c\n", "d/.git/x": "x\n", "d/empty": "", "d/e/a.txt": "2\n", "d/" + strings.Repeat("long", 40): "long\n",
		"list": "d/a.txt\n\nd/sub\n", "list0": "d/a.txt\x00d/e\x00", "options": "-C d\na.txt\n--exclude=*.md\nsub\n", "skip": "*.o\n\n.git  \n", "bad": "--nope\n",
	} {
		at := filepath.Join(dir, name)
		must(errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)))
	}
	must(errors.Join(os.Symlink("a.txt", dir+"/d/l"), os.Link(dir+"/d/a.txt", dir+"/d/z"), os.Symlink("sub", dir+"/d/ls"), os.Chmod(dir+"/d/empty", 0o4755), os.Mkdir(dir+"/x", 0o755)))
	must(filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := unix.NsecToTimespec(then.UnixNano())
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	}))
	for name, text := range archives(t, dir) {
		must(os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	return dir
}

// made are the archives of the tree, which is always the same.
var made map[string][]byte

// archives has GNU's tar make them once.
func archives(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	if made != nil {
		return made
	}
	made = map[string][]byte{}
	for name, letter := range map[string]string{"p.tar": "", "p.tgz": "z", "p.txz": "J", "p.tbz": "j"} {
		var out bytes.Buffer
		if gnu(t, tool.Invocation{Dir: dir, Stdout: &out, Stderr: os.Stderr}, []string{"-c" + letter, "--sort=name", "d"}) != 0 {
			t.Fatal(name)
		}
		made[name] = out.Bytes()
	}
	var global bytes.Buffer // as git archive writes it
	w := tar.NewWriter(&global)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "52b2c0a"}},
		{Typeflag: tar.TypeReg, Name: "top/a.txt", Mode: 0o644, ModTime: time.Unix(1700000000, 0)},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	made["global.tar"] = global.Bytes()
	return made
}

// compare runs a command line here and with GNU's tar, each in its own tree.
func compare(t *testing.T, args []string, stdin string) {
	t.Helper()
	var results []result
	for _, run := range []func(*testing.T, tool.Invocation, []string) int{gnu, here} {
		dir := tree(t)
		var out, errs, left bytes.Buffer
		inv := tool.Invocation{Dir: dir, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs}
		r := result{Code: run(t, inv, args)}
		r.Errors = strings.TrimPrefix(errs.String(), "\n") // of gzip
		if slices.ContainsFunc(args, func(a string) bool { return a == "-" }) && strings.Contains(args[0], "c") {
			if err := os.WriteFile(dir+"/o.tar", out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			out.Reset()
		}
		r.Out = out.String()
		if _, err := os.Stat(dir + "/o.tar"); err == nil {
			left.WriteString(entries(t, dir+"/o.tar"))
		}
		r.Left = left.String() + files(t, dir+"/x")
		for _, text := range []*string{&r.Out, &r.Errors, &r.Left} {
			*text = strings.ReplaceAll(*text, dir, "DIR")
		}
		results = append(results, r)
	}
	if diff := cmp.Diff(results[0], results[1]); diff != "" {
		t.Errorf("tar %q (-GNU +here)\n%s", args, diff)
	}
}

// entries is what an archive holds.
func entries(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out strings.Builder
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			out.WriteString(err.Error())
			break
		}
		text, err := io.ReadAll(r)
		fmt.Fprintln(&out, h.Format, h.Typeflag, h.Name, h.Linkname, h.Mode, h.Uid, h.Gid, h.Uname, h.Gname, h.Size, h.ModTime.UTC(), string(text), err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(out.String(), " ", info.Size()%recordSize, "\n")
}

func files(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		text, _ := os.ReadFile(path) // of a directory there is none
		link, _ := os.Readlink(path)
		out.WriteString(entry.Type().String() + " " + strings.TrimPrefix(path, dir) + " " + link + " " + string(text) + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestArchivesAreWrittenAsByGNU(t *testing.T) {
	for _, line := range []string{
		"-cf o.tar --sort=name --exclude=.git d", "cvf o.tar --sort=name --exclude *.o --exclude=deep d", "--sort=name -cvf o.tar --exclude=sub/ d", "-c --sort=name --exclude=d/sub -f o.tar ./d", "cf o.tar --sort=name --exclude=./d/sub ./d",
		"cf o.tar --sort=name --anchored --exclude=sub --exclude=d/e d", "cf o.tar --sort=name --no-wildcards --exclude=*.o d", "cf o.tar --sort=name --no-wildcards-match-slash --exclude=d/*.md d", "cf o.tar --sort=name --ignore-case --exclude=A.TXT d",
		"cf o.tar --sort=name -X skip d", "cf o.tar --sort=name --exclude-from=skip d", "cf o.tar --sort=name --exclude-vcs d", "cvf o.tar -T list", "cf o.tar --sort=name --files-from list d/e", "cf o.tar --sort=name -T options", "cf o.tar --null -T list0", "cf o.tar -T list0",
		"cvf o.tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 d", "cf o.tar --sort=name --owner=foo --group=bar:77 --mtime=2020-01-01T00:00Z d", "cf o.tar --sort=name --owner=:12 --group=daemon --mtime=./list d", "cf o.tar --sort=name --mtime=2030-01-01 --clamp-mtime d",
		"cf o.tar --sort=name -C d --exclude=.git a.txt -C sub b.o", "cvvf o.tar --sort=name --exclude=.git d", "cf o.tar --sort=name --mtime=@0 --exclude=zz .", "cf d/o.tar --sort=name --mtime=@0 --exclude=zz d", "cf o.tar --exclude=d d", "cf o.tar --exclude=a.txt d/a.txt d/z", "cvf o.tar --no-recursion --exclude=x d",
		"chf o.tar --sort=name --exclude=x d", "cf - --sort=name --exclude=.git d", "cvf - --exclude=.git d/a.txt", "cf o.tar --sort=name --format=ustar --exclude=long* d", "cf o.tar --sort=name --format=gnu d nope", "cf o.tar --exclude=x d/a.txt --exclude=y", "cf o.tar --exclude=x d/a.txt -C /",
		"cf o.tar --exclude=x d/../d/a.txt ./d/./z", "cPf o.tar d/../d/a.txt", "cf o.tar --exclude=x", "--exclude=x -f o.tar d", "cf nope/o.tar --exclude=x d", "cf o.tar --sort=foo d", "cf o.tar --owner=99999999999 d", "cf o.tar --owner=a:b d", "cf o.tar -z -j --exclude=x d", "cxf o.tar --exclude=x d", "cf o.tar --nope --exclude=x", "cf",
		"cf o.tar -X", "caf o.tar --sort=name --exclude=.git d", "cf o.tar --exclude=x --verbatim-files-from -T bad", "cSf o.tar d/a.txt d/l", "cvf o.tar --show-transformed-names --transform s,d,e, d/a.txt", "cf o.tar --sort=name --exclude=.git d/",
	} {
		compare(t, strings.Fields(line), "")
	}
	compare(t, []string{"cvf", "o.tar", "--mtime=2020-01-01", "d/a.txt"}, "")
	compare(t, []string{"cf", "o.tar", "--mtime=2020-01-01 00:00Z", "-T", "-"}, "d/a.txt\nd/l")
}

func TestNamesAreTransformedAsByGNU(t *testing.T) {
	for _, expression := range []string{
		"s,^,p/,", "s,^d,app-1.2,", "s,^,p/,;s,x$,y,", "s,d,e,;s,e,f,", "s,$,/q,;s,/,-,", `s,\.,\.\t,`, `s,\(.\)/\(.\),\2/\1,g`, `s,d,a\nb,`, `s,\(D\),\u\1x\Uyz\Eabc,i`, `s,d,\LABC\uDEF,`, `s,d,x\,y,`, "s|a|b|;s,h,i,;", "s,a,b,g;;s,h,i,", "s,.*/,,",
		`s,d\|l,X,g`, "s,d+,X,x", "s,(d|l)+,X,gx", "s,[.],_,g", `s,[\.],_,g`, `s,\bl,Q,`, `s,\<l,Q,`, `s,l$,\0\0,`, "s,a{1},Q,x", `s,a\{1\},Q,`, "s,*,Q,", `s,d,&&\&,`, `s,\w,W,`, "s,d/,d,", "s,^d$,ROOT,", "s,^d/,./,", "s,^,/abs/,", "s,[^/]*$,f,", `s,d,\12,`, "s,d,e,R", "s,d,e,rS", "s,a,b,S",
		"s,d,e,H", "flags=S;s,a,b,", "s,d,e,qz", `s,\(d,e,`, "y,d,e,", "", "s,a", `s,a,b\`, "s,d,e", "flags=q;s,d,e,", `s,a\+,P,g`, "s,^[^/]*/,,", `s,a\.txt,/b,`, "s,é,e,", "s,a|b,c,", `s,\$,x,`, "s,a$b,x,", "s,x^d,y,", `s,\(^d\),[\1],`, "s,[[:upper:]],x,", "s,[]d],x,", "s,[d,x,", "s,a\\{2,1\\},x,",
	} {
		compare(t, []string{"cvf", "o.tar", "--transform=" + expression, "d/a.txt", "d/l", "d/z", "d/e"}, "")
	}
}

func TestArchivesAreReadAsByGNU(t *testing.T) {
	for _, line := range []string{
		"tf p.tar --exclude=.git", "tvf p.tar --exclude=*.o --exclude=long*", "tf p.tar --exclude=sub/", "tf p.tar --exclude=sub d/sub d/nope", "tf p.tar --wildcards *.o d/a*", "tf p.tar d/a* --wildcards *.o", "tf p.tar --no-anchored sub", "-tzf p.tgz --exclude=.git d/sub d/sub",
		"tf p.txz --exclude=.git d/e", "tJf p.txz --exclude=.git d/e", "tjf p.tbz --exclude=.git d/e", "tzf p.tar --exclude=x", "tf nope.tar --exclude=x", "tf list --exclude=x", "tvf p.tar --strip-components=1 --show-transformed-names d/sub d/z d/a.txt --exclude=x", "tvf p.tar --transform=s,a,b,g --show-transformed d/l d/a.txt",
		"tvf p.tar --numeric-owner --exclude=x d/l", "tf p.tar -T list", "tf p.tar -X skip d/sub", "tf p.tar --wildcards --no-wildcards-match-slash d/*.md", "tf p.tar --wildcards --ignore-case *.TXT",
		"xf p.tar -C x --exclude=.git", "xzf p.tgz --exclude=sub -C x", "xvzf p.tgz -C x --strip-components=1 --exclude=sub", "-x --file=p.tgz --directory x --wildcards *.md", "xvf p.tar -C x --transform=s,^d,e,", "xvf p.tar -C x --show-transformed-names --transform=s,^d,e, d/sub d/l",
		"xf p.tar -C x --xform=s,d/,, --strip-components=1", "xOf p.tar --wildcards *.md", "xvOf p.tar --wildcards *.txt", "xf p.tar -C x --wildcards *.nope", "xf p.tar -C nope --exclude=x", "xf p.txz -C x --exclude=.git", "xf p.tbz -C x --exclude=d/sub d", "xf p.tar -C x --exclude=z --exclude=e/a.txt", "xf p.tar d/a.txt --exclude=x -C x", "xf p.tar -C x -T list",
		"xf global.tar -C x", "tf global.tar", "xf p.tgz -C x", "xvf p.txz -C x", "-xf p.tbz -C x d/e", "tf p.tgz", "tvf p.txz d/sub", "xf p.tar -C x d/nope", "xkf p.tar -C x",
		"xf p.tar -C x --wildcards --strip-components=2 */a.txt", "xf p.tar -C x --no-same-owner --exclude=x d/empty", "xmf p.tar -C x --exclude=x d/e", "xf p.tar -C x --anchored --exclude=sub d/sub", "xf list -C x --exclude=z",
	} {
		compare(t, strings.Fields(line), "")
	}
	text, err := os.ReadFile(tree(t) + "/p.tar")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"tf - --exclude=x", "xf - -C x --exclude=.git", "x -C x --exclude=.git", "tv --exclude=d/sub"} {
		compare(t, strings.Fields(line), string(text))
	}
	compare(t, strings.Fields("tf - --exclude=x"), "")
	compare(t, strings.Fields("tf - --exclude=x"), string(text[:len(text)-9000]))
}

// TestNothingIsMadeOutside: names and links of a hostile archive.
func TestNothingIsMadeOutside(t *testing.T) {
	dir := t.TempDir()
	inside, outside := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := errors.Join(os.Mkdir(inside, 0o755), os.Mkdir(outside, 0o755), os.WriteFile(outside+"/secret", []byte("s"), 0o600)); err != nil {
		t.Fatal(err)
	}
	var evil bytes.Buffer
	w := tar.NewWriter(&evil)
	for _, h := range []tar.Header{
		{Name: "a/../../out/up", Size: 1},
		{Name: outside + "/abs", Size: 1},
		{Name: "fine", Size: 1},
		{Name: "link", Typeflag: tar.TypeSymlink, Linkname: outside},
		{Name: "link/through", Size: 1},
		{Name: "hard", Typeflag: tar.TypeLink, Linkname: "../out/secret"},
		{Name: "hard", Size: 1},
		{Name: "absent", Typeflag: tar.TypeLink, Linkname: outside + "/secret"},
		{Name: "x.link", Typeflag: tar.TypeSymlink, Linkname: "../out"},
		{Name: "x.link/y", Size: 1},
	} {
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("!"), int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"x --exclude=zz", "x --transform=s,^fine,../out/renamed,", "xP --transform=s,^fine,../out/renamed,", "x --transform=s,x.link,link, --wildcards x.link*", "x --exclude=zz --strip-components=1"} {
		var out bytes.Buffer
		code := here(t, tool.Invocation{Dir: inside, Stdin: bytes.NewReader(evil.Bytes()), Stdout: &out, Stderr: &out}, strings.Fields(line))
		if left := files(t, outside); left != "d--------- /  \n---------- /secret  s\n" && left != "d---------   \n---------- /secret  s\n" {
			t.Fatalf("%s: exit %d, %s\n%s", line, code, left, &out)
		}
		if line == "x --exclude=zz" && (code != exitTrouble || !strings.Contains(out.String(), "Member name contains '..'")) {
			t.Errorf("%s: exit %d\n%s", line, code, &out)
		}
	}
}

func TestTheSameFilesMakeTheSameArchive(t *testing.T) {
	var archives []string
	for range 2 {
		var out, errs bytes.Buffer
		args := strings.Fields("czf - --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner d")
		if code := here(t, tool.Invocation{Dir: tree(t), Stdout: &out, Stderr: &errs}, args); code != 0 {
			t.Fatal(code, errs.String())
		}
		archives = append(archives, out.String())
	}
	if archives[0] != archives[1] {
		t.Error("they differ")
	}
}

func TestCompressionThatOnlySomeCommandLinesHave(t *testing.T) {
	dir := tree(t)
	run := func(line string) (string, string, int) {
		var out, errs bytes.Buffer
		code := here(t, tool.Invocation{Dir: dir, Stdout: &out, Stderr: &errs}, strings.Fields(line))
		return out.String(), errs.String(), code
	}
	for _, line := range []string{"--zstd -cf o.tzst d/a.txt", "caf o.tar.zst --exclude=x d/a.txt", "-I zstd -cf o.zst d/a.txt", "-cjf o.tbz --exclude=x d/a.txt", "-I gzip -cf o.tgz d/a.txt", "caf p2.tgz --exclude=x d/a.txt"} {
		if out, errs, code := run(line); out != "" || errs != "" || code != 0 {
			t.Errorf("%s: exit %d, %q, %q", line, code, out, errs)
		}
		words := strings.Fields(line)
		file := words[slices.IndexFunc(words, func(w string) bool { return strings.Contains(w, ".") && !strings.HasPrefix(w, "-") })]
		for _, reading := range []string{"-tf " + file + " --exclude=x", "-xOvf " + file + " --exclude=x"} {
			if out, errs, code := run(reading); code != 0 || !strings.Contains(out+errs, "d/a.txt\n") {
				t.Errorf("%s: exit %d, %q, %q", reading, code, out, errs)
			}
		}
	}
	for line, want := range map[string]string{"-cJf o.txz d": "only read; use -z or --zstd", "-rf p.tar --exclude=x d": "option -r is not supported", "-cf o.tar -T bad": "--nope", "-xf p.tar --exclude=x d/e -C x d/sub": "several directories", "--zstd -tf p.tar": "not in zstd format", "-cf o.tar --mtime=bogus d": "bogus"} {
		if _, errs, code := run(line); code != exitTrouble || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, %q, want %q", line, code, errs, want)
		}
	}
}

func TestAnEndedContextEndsTheWork(t *testing.T) {
	dir := tree(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs bytes.Buffer
	inv := tool.Invocation{Name: "tar", Dir: dir, Stderr: &errs, Stdout: io.Discard, Run: func(context.Context, tool.Invocation) int { return 1 }}
	for _, line := range []string{"cf o.tar --exclude=x d", "xf p.tar -C x --exclude=x", "tf p.tar --exclude=x"} {
		inv.Args = strings.Fields(line)
		if code := Run(ctx, inv); code != exitTrouble || !strings.Contains(errs.String(), "context canceled") {
			t.Errorf("%s: exit %d, %q", line, code, &errs)
		}
		errs.Reset()
	}
}

func TestOnlyWhatBusyboxCannotDoIsWanted(t *testing.T) {
	for line, want := range map[string]bool{
		"czf o.tgz d": false, "-xzf o.tgz -C d --strip-components=1": false, "tzf o.tgz": false, "xf o.txz --to-command=cat": false, "": false, "cf --exclude=x d": false, "-cf o.tar -- --exclude=x": false, "xJf o.txz": false, "cf o.tar --numeric-owner d": false,
		"czf o.tgz --exclude=x d": true, "czf o.tgz --exclude x d": true, "cJf o.txz d": true, "tf o.tar": true, "-xf o.tgz": true, "x": false, "-x -f -": false, "-x -f - -k -m -o -p --overwrite --no-same-permissions --numeric-owner": false, "caf o.txz d": true, "-cf o.tar -T list": true, "cTf list o.tar": true, "xf o.tar --wildcards *.o": true, "cf o.tar --xform=s,a,b, d": true, "cf o.tar --nope --exclude=x": false, "cf o.tar --exclude=x --nope": true,
	} {
		if got := Wanted(strings.Fields(line)); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

func FuzzTransform(f *testing.F) {
	for _, expression := range []string{"s,^,p/,", `s,\(.\)/\(.\),\2/\1,gi`, "s,(a|b)+{2},X,x3g", `flags=rS;s|[[:alpha:]]*|\U&\E|;s,x,y,`, `s,a\{1,3\},\u&,`, `s,[]\],x,`} {
		f.Add(expression, "d/a.txt")
	}
	f.Fuzz(func(t *testing.T, expression, name string) {
		list, err := parseTransform(expression, map[kind]bool{memberName: true})
		if err != nil {
			return
		}
		for _, s := range list {
			if name = s.apply(name); len(name) > 2*maxNewName {
				t.Fatalf("%d bytes", len(name))
			}
		}
	})
}
