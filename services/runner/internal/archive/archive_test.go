package archive

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testLog collects lines.
type testLog struct{ strings.Builder }

func (l *testLog) Raw(s string)  { l.WriteString(s + "\n") }
func (l *testLog) Warn(s string) { l.WriteString("WARNING: " + s + "\n") }

// project is a directory with files; a value that starts with "-> " is a link.
func project(t testing.TB, files map[string]string) (string, *os.Root) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			must(t, os.Symlink(target, path))
			continue
		}
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(path, 0o755))
			continue
		}
		must(t, os.WriteFile(path, []byte(content), 0o644))
	}
	root, err := os.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	return dir, root
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func names(files []File) []string {
	out := []string{}
	for _, f := range files {
		out = append(out, f.Name)
	}
	return out
}

// tree lists a directory: contents of files, targets of links, modes.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			out[rel+"/"] = ""
		case info.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			out[rel] = "-> " + target
			return err
		default:
			b, err := os.ReadFile(path)
			out[rel] = info.Mode().String() + " " + string(b)
			return err
		}
		return nil
	}))
	return out
}

func TestSelect(t *testing.T) {
	files := map[string]string{
		"out/a.txt": "a", "out/b.log": "b", "out/deep/er/c.txt": "c", "out/empty/": "", "vendor/x": "x", "top.txt": "t",
		"link": "-> out", "away": "-> /etc", "odd [name].txt": "o",
	}
	tests := map[string]struct {
		rules Rules
		want  []string
		log   string
	}{
		"a directory means all in it": {
			Rules{Paths: []string{"out/"}},
			[]string{"out", "out/a.txt", "out/b.log", "out/deep", "out/deep/er", "out/deep/er/c.txt", "out/empty"},
			"out/: found 7 matching artifact files and directories\n",
		},
		"two stars": {
			Rules{Paths: []string{"**/*.txt"}},
			[]string{"odd [name].txt", "out/a.txt", "out/deep/er/c.txt", "top.txt"},
			"**/*.txt: found 4 matching artifact files and directories\n",
		},
		"one star stays in its directory": {
			Rules{Paths: []string{"*.txt"}},
			[]string{"odd [name].txt", "top.txt"},
			"*.txt: found 2 matching artifact files and directories\n",
		},
		"alternatives": {
			Rules{Paths: []string{"out/{a,b}.*"}},
			[]string{"out/a.txt", "out/b.log"},
			"out/{a,b}.*: found 2 matching artifact files and directories\n",
		},
		"escaped": {
			Rules{Paths: []string{`odd \[name].txt`}},
			[]string{"odd [name].txt"},
			"odd \\[name].txt: found 1 matching artifact files and directories\n",
		},
		"excluded": {
			Rules{Paths: []string{"out"}, Exclude: []string{"out/**/*.txt", "never"}},
			[]string{"out", "out/b.log", "out/deep", "out/deep/er", "out/empty"},
			"out: found 5 matching artifact files and directories\nout/**/*.txt: excluded 2 files\n",
		},
		"a link is stored and not followed": {
			Rules{Paths: []string{"link", "away"}},
			[]string{"away", "link"},
			"link: found 1 matching artifact files and directories\naway: found 1 matching artifact files and directories\n",
		},
		"a glob does not go through a link": {
			Rules{Paths: []string{"**/passwd"}},
			[]string{},
			"WARNING: **/passwd: no matching files. Ensure that the artifact path is relative to the working directory (DIR)\n",
		},
		"nothing behind a link that leads away": {
			Rules{Paths: []string{"away/passwd"}},
			[]string{},
			"WARNING: away/passwd: no matching files. Ensure that the artifact path is relative to the working directory (DIR)\n",
		},
		"absolute inside": {
			Rules{Paths: []string{"DIR/top.txt"}},
			[]string{"top.txt"},
			"DIR/top.txt: found 1 matching artifact files and directories\n",
		},
		"absolute outside": {
			Rules{Paths: []string{"/etc/passwd"}},
			[]string{},
			"WARNING: processPath: artifact path is not a subpath of project directory: /etc/passwd\n",
		},
		"outside": {
			Rules{Paths: []string{"../x", "out/../../x"}},
			[]string{},
			"WARNING: processPath: artifact path is not a subpath of project directory: ../x\nWARNING: processPath: artifact path is not a subpath of project directory: out/../../x\n",
		},
		"bad pattern": {
			Rules{Paths: []string{"[x", strings.Repeat("{a,b}", 9)}},
			[]string{},
			"WARNING: [x: syntax error in pattern\nWARNING: " + strings.Repeat("{a,b}", 9) + ": the pattern has more than 8 alternatives in braces\n",
		},
		"untracked":      {Rules{Untracked: true, UntrackedFiles: []string{"vendor/x", "gone", "../x"}}, []string{"vendor/x"}, "untracked: found 1 files\n"},
		"none untracked": {Rules{Untracked: true}, []string{}, "WARNING: untracked: no files\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir, root := project(t, files)
			for i := range tt.rules.Paths {
				tt.rules.Paths[i] = strings.ReplaceAll(tt.rules.Paths[i], "DIR", dir)
			}
			log := &testLog{}
			got, err := Select(t.Context(), root, dir, tt.rules, UploadLimits, log)
			must(t, err)
			if diff := cmp.Diff(tt.want, names(got)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.log, strings.ReplaceAll(log.String(), dir, "DIR")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSelectStopsAtItsLimits(t *testing.T) {
	dir, root := project(t, map[string]string{"a": "1", "b": "2", "c": "3"})
	must(t, os.Truncate(filepath.Join(dir, "c"), 10<<30)) // takes no room
	for want, limits := range map[string]Limits{
		"the files are larger than 1.0 GiB (with c of 10.0 GiB): store less":    UploadLimits,
		"more than 2 files match: store less, or pack them into one file first": {Content: 1 << 40, Entries: 2},
		"the files are larger than 1 bytes (with b of 1 bytes): store less":     {Content: 1, Entries: 5},
	} {
		if _, err := Select(t.Context(), root, dir, Rules{Paths: []string{"."}}, limits, &testLog{}); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	deep := strings.Repeat("d/", maxDepth+2)
	must(t, os.MkdirAll(filepath.Join(dir, deep), 0o755))
	if _, err := Select(t.Context(), root, dir, Rules{Paths: []string{"d"}}, UploadLimits, &testLog{}); err == nil || !strings.Contains(err.Error(), "too deep") {
		t.Errorf("error %v", err)
	}
}

// pack selects everything and writes it into a file.
func pack(t testing.TB, format Format, dir string, root *os.Root, limits Limits) (*os.File, error) {
	t.Helper()
	files, err := Select(t.Context(), root, dir, Rules{Paths: []string{"."}}, limits, &testLog{})
	must(t, err)
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"+format.Extension()))
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f, Write(t.Context(), f, format, root, files, limits)
}

func TestRoundTrip(t *testing.T) {
	for _, format := range []Format{Zip, TarZstd} {
		t.Run(string(format), func(t *testing.T) {
			dir, root := project(t, map[string]string{
				"run.sh": "#!/bin/sh\n", "dir/big": strings.Repeat("text ", 100_000), "dir/empty/": "", "link": "-> dir/big", "ünï": "x", "none": "",
			})
			must(t, os.Chmod(filepath.Join(dir, "run.sh"), 0o755|fs.ModeSetuid))
			archive, err := pack(t, format, dir, root, UploadLimits)
			must(t, err)
			to, toRoot := project(t, map[string]string{"run.sh": "older", "link": "-> /etc/passwd", "stays": "s"})
			must(t, Extract(t.Context(), archive, toRoot, DownloadLimits, &testLog{}))
			want := tree(t, dir)
			want["run.sh"] = "-rwxr-xr-x #!/bin/sh\n"
			want["stays"] = "-rw-r--r-- s"
			if diff := cmp.Diff(want, tree(t, to)); diff != "" {
				t.Error(diff)
			}
			before, _ := os.Stat(filepath.Join(dir, "none"))
			after, err := os.Stat(filepath.Join(to, "none"))
			must(t, err)
			if before.ModTime().Unix() != after.ModTime().Unix() {
				t.Errorf("modified %s, was %s", after.ModTime(), before.ModTime())
			}
		})
	}
}

func TestGzipIsOneMemberForEachFile(t *testing.T) {
	dir, root := project(t, map[string]string{"a/1.xml": "one\n", "a/2.xml": "two\n", "3.xml": "three\n"})
	archive, err := pack(t, Gzip, dir, root, UploadLimits)
	must(t, err)
	out, err := exec.Command("gzip", "-dc", archive.Name()).Output()
	if err != nil {
		t.Fatalf("gzip must be installed (Debian package gzip): %v", err)
	}
	if string(out) != "three\none\ntwo\n" {
		t.Errorf("content %q", out)
	}
	raw, err := os.ReadFile(archive.Name())
	must(t, err)
	if n := bytes.Count(raw, []byte{0x1f, 0x8b, 8, 8}); n != 3 || !bytes.Contains(raw, []byte("2.xml\x00")) {
		t.Errorf("%d members with names", n)
	}
	to, toRoot := project(t, nil)
	must(t, Extract(t.Context(), archive, toRoot, DownloadLimits, &testLog{}))
	if got := tree(t, to); got["1.xml"] != "-rw------- one\n" || len(got) != 3 {
		t.Errorf("extracted %v", got)
	}
}

func TestRawIsOneFile(t *testing.T) {
	dir, root := project(t, map[string]string{"plan.json": "{}"})
	archive, err := pack(t, Raw, dir, root, UploadLimits)
	must(t, err)
	if b, err := os.ReadFile(archive.Name()); err != nil || string(b) != "{}" {
		t.Errorf("%q, %v", b, err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "second"), nil, 0o644))
	if _, err := pack(t, Raw, dir, root, UploadLimits); err == nil || err.Error() != "only one file can be sent as raw" {
		t.Errorf("error %v", err)
	}
}

func TestWriteStopsAtTheLimitOfTheArchive(t *testing.T) {
	dir, root := project(t, map[string]string{"a": strings.Repeat("x", 5000)})
	for _, format := range []Format{Zip, Gzip, Raw, TarZstd} {
		if _, err := pack(t, format, dir, root, Limits{Content: 1 << 20, Archive: 20, Entries: 5}); err == nil || !strings.Contains(err.Error(), "larger than 20 bytes") {
			t.Errorf("%s: error %v", format, err)
		}
	}
	if _, err := pack(t, "rar", dir, root, UploadLimits); err == nil || !strings.Contains(err.Error(), `"rar" is not supported`) {
		t.Errorf("error %v", err)
	}
}

func TestFilesThatChangeWhileTheyArePacked(t *testing.T) {
	dir, root := project(t, map[string]string{"a": "1234"})
	files, err := Select(t.Context(), root, dir, Rules{Paths: []string{"a"}}, UploadLimits, &testLog{})
	must(t, err)
	path := filepath.Join(dir, "a")
	must(t, os.Remove(path))
	for want, replace := range map[string]func() error{
		"became smaller": func() error { return os.WriteFile(path, []byte("1"), 0o644) },
		"no such file":   func() error { return nil },
		"escapes":        func() error { return os.Symlink("/etc/passwd", path) },
		"no longer":      func() error { return syscall.Mkfifo(path, 0o600) },
	} {
		must(t, replace())
		if err := Write(t.Context(), &bytes.Buffer{}, Raw, root, files, UploadLimits); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
		_ = os.Remove(path)
	}
}

// A job's memory is limited: what packing and unpacking take must not grow by
// tables for every file.
func TestManyFilesTakeLittleMemory(t *testing.T) {
	const count, most = 2000, 200 << 20 // a compressor for each file would take 2 GiB
	files := map[string]string{}
	for i := range count {
		files[fmt.Sprintf("f/%d", i)] = "content"
	}
	dir, root := project(t, files)
	packed, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	defer packed.Close()
	_, empty := project(t, nil)
	for _, format := range []Format{Zip, TarZstd} {
		must(t, packed.Truncate(0))
		_, err := packed.Seek(0, io.SeekStart)
		must(t, err)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		selected, err := Select(t.Context(), root, dir, Rules{Paths: []string{"f"}}, UploadLimits, &testLog{})
		must(t, err)
		must(t, Write(t.Context(), packed, format, root, selected, UploadLimits))
		must(t, Extract(t.Context(), packed, empty, DownloadLimits, &testLog{}))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; len(selected) != count+1 || took > most {
			t.Errorf("%s: %d files took %d MiB", format, len(selected), took>>20)
		}
	}
}
