package escape

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
)

// member is a file or a link of a hostile archive.
type member struct {
	name, content string
	mode          fs.FileMode
}

// packed is a zip that no runner would make, in base64.
func packed(t *testing.T, members ...member) string {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		h.SetMode(m.mode)
		w, err := zw.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(m.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// packedTar is the same as tar.zst. There ModeIrregular stands for a hard link.
func packedTar(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: int64(m.mode.Perm()), Typeflag: tar.TypeReg, Size: int64(len(m.content))}
		if kind, ok := map[fs.FileMode]byte{fs.ModeSymlink: tar.TypeSymlink, fs.ModeIrregular: tar.TypeLink}[m.mode.Type()]; ok {
			h.Typeflag, h.Linkname, h.Size = kind, m.content, 0
		}
		err := tw.WriteHeader(h)
		if err == nil && h.Size > 0 {
			_, err = tw.Write([]byte(m.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	// A frame of one block as it is (RFC 8878, sections 3.1.1 and 3.1.1.2.1).
	const magic, singleSegment, lastBlock = 0xfd2fb528, 0x60, 1
	size := uint16(b.Len())
	frame := binary.LittleEndian.AppendUint32(nil, magic)
	frame = binary.LittleEndian.AppendUint16(append(frame, singleSegment), size-256)
	block := uint32(size)<<3 | lastBlock
	frame = append(frame, byte(block), byte(block>>8), byte(block>>16))
	return append(frame, b.Bytes()...)
}

// TestHostileArtifactsOfOtherJobs lets a job store an archive by its own token,
// past its runner, and another job take it.
func TestHostileArtifactsOfOtherJobs(t *testing.T) {
	const link = fs.ModeSymlink | 0o777
	p := open(t)
	for _, c := range []struct {
		name    string
		members []member
		fails   bool
		says    string
	}{
		{"a file above the project", []member{{"../evil", "x", 0o644}}, true, `"\.\./evil" leads outside of the project directory`},
		{"a file above by a detour", []member{{"a/../../evil", "x", 0o644}}, true, "leads outside of the project directory"},
		{"an absolute file", []member{{p.dir + "/evil", "x", 0o644}}, true, "leads outside of the project directory"},
		{"a file through a link", []member{{"l", "..", link}, {"l/evil", "x", 0o644}}, false, `"l" is a link that leads outside of the project directory: not extracted`},
		{"a link to a secret", []member{{"l", p.dir + "/seal.key", link}}, false, `"l" is a link that leads outside of the project directory: not extracted`},
		{"a bomb", []member{{"zeros", strings.Repeat("\x00", 300<<20), 0o644}}, true, "file too large|--scratch-limit|times its size"},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := fmt.Sprintf("echo %s | base64 -d > z.zip && curl -sS --fail -H \"JOB-TOKEN: $CI_JOB_TOKEN\" -F file=@z.zip \"$CI_API_V4_URL/jobs/$CI_JOB_ID/artifacts?artifact_type=archive&artifact_format=zip\"", packed(t, c.members...))
			taken, log := p.pair(t, store, "artifacts: {paths: [nothing-of-it]}", "test ! -L l && test ! -e ../evil && echo taken")
			want, reason := sim.Success, ""
			if c.fails {
				want, reason = sim.Failed, "script_failure"
			}
			if taken.Status != want || taken.FailureReason != reason || !regexp.MustCompile(c.says).MatchString(log) {
				t.Errorf("%s (%s), want %s (%s) and %q\n%s", taken.Status, taken.FailureReason, want, reason, c.says, last(log))
			}
			p.nothingOutside(t)
			p.healthy(t)
		})
	}
}

// TestHostileCaches has somebody who can write to the store of caches put a tar
// there, the one format that comes from nowhere else.
func TestHostileCaches(t *testing.T) {
	const link = fs.ModeSymlink | 0o777
	const keys = "cache: {key: c, paths: [vendor/]}"
	p := open(t)
	run := func(t *testing.T, script string) (sim.Job, string) {
		jobs := p.pipeline(t, script, keys, "true")
		j, log := p.ends(t, jobs[0].ID)
		if j.Status == sim.Success {
			p.ends(t, jobs[1].ID)
		}
		return j, log
	}
	for _, c := range []struct {
		name    string
		members []member
		says    string
	}{
		{"a file above the project", []member{{"../evil", "x", 0o644}}, `"\.\./evil" leads outside of the project directory`},
		{"an absolute file", []member{{p.dir + "/evil", "x", 0o644}}, "leads outside of the project directory"},
		{"a file through a link", []member{{"l", "..", link}, {"l/evil", "x", 0o644}}, `"l" is a link that leads outside of the project directory: not extracted`},
		{"a hard link to a secret", []member{{"l", p.dir + "/seal.key", fs.ModeIrregular}}, `"l": is a device, a pipe or a hard link, which are not accepted`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if j, log := run(t, "mkdir -p vendor && echo x > vendor/a"); j.Status != sim.Success {
				t.Fatalf("%s (%s)\n%s", j.Status, j.FailureReason, last(log))
			}
			stored, _ := filepath.Glob(filepath.Join(p.caches(), "*", "*"))
			if len(stored) != 1 {
				t.Fatalf("caches %v", stored)
			}
			p.must(os.WriteFile(stored[0], packedTar(t, c.members...), 0o600))
			if j, log := run(t, "test ! -L l && test ! -e ../evil && echo taken"); j.Status != sim.Success || !regexp.MustCompile(c.says).MatchString(log) {
				t.Errorf("%s (%s), want %q\n%s", j.Status, j.FailureReason, c.says, last(log))
			}
			p.nothingOutside(t)
			p.healthy(t)
		})
	}
}

// nothingOutside looks for what an archive has written outside of its project.
func (p *prison) nothingOutside(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"evil", "work/evil", "work/*/evil", "work/*/*/evil"} {
		if found, _ := filepath.Glob(filepath.Join(p.dir, pattern)); len(found) > 0 {
			t.Errorf("written outside: %v", found)
		}
	}
}

// TestArtifactsThatTakeTooMuch lets a job store what is too large or too many.
func TestArtifactsThatTakeTooMuch(t *testing.T) {
	p := open(t)
	for _, c := range []struct {
		name, script string
		stored       bool // and taken by the next job
		says         string
	}{
		{"a sparse file of 10 GB", "truncate -s 10G f", false, "File too large"},
		{"sparse files of 10.8 GB", "for i in $(seq 180); do truncate -s 60M f$i; done", false, "larger than 1.0 GiB"},
		{"100,000 files", "mkdir f && cd f && seq 100000 | busybox xargs touch", true, "found 100001 matching artifact files"},
	} {
		t.Run(c.name, func(t *testing.T) {
			jobs := p.pipeline(t, c.script, "artifacts: {paths: ['f*']}", "echo $(ls f | wc -l) files are here")
			stored, log := p.ends(t, jobs[0].ID)
			if (stored.Status == sim.Success) != c.stored || !strings.Contains(log, c.says) {
				t.Errorf("%s (%s), want %q\n%s", stored.Status, stored.FailureReason, c.says, last(log))
			}
			if c.stored {
				if taken, log := p.ends(t, jobs[1].ID); taken.Status != sim.Success || !strings.Contains(log, "\n100000 files are here") {
					t.Errorf("%s (%s)\n%s", taken.Status, taken.FailureReason, last(log))
				}
			}
			p.healthy(t)
		})
	}
}

// pipeline starts a job with further keys and one that takes its artifacts.
func (p *prison) pipeline(t *testing.T, script, keys, after string) []sim.Job {
	t.Helper()
	p.files[".gitlab-ci.yml"] = fmt.Sprintf("stages: [one, two]\ndefault:\n  tags: [%s]\nstore:\n  stage: one\n  script:\n    - |\n      %s\n  %s\ntake:\n  stage: two\n  script:\n    - |\n      %s\n",
		agentName, script, keys, after)
	_, err := p.gitlab.Push(projectPath, "main", p.files)
	p.must(err)
	run, err := p.gitlab.RunPipeline(sim.PipelineOptions{Project: projectPath})
	p.must(err)
	return run.Jobs
}

// pair runs both jobs and returns the second, and its log.
func (p *prison) pair(t *testing.T, script, keys, after string) (sim.Job, string) {
	t.Helper()
	jobs := p.pipeline(t, script, keys, after)
	if stored, log := p.ends(t, jobs[0].ID); stored.Status != sim.Success {
		t.Fatalf("the artifact is not stored: %s (%s)\n%s", stored.Status, stored.FailureReason, last(log))
	}
	return p.ends(t, jobs[1].ID)
}

// ends waits for a job and returns its log.
func (p *prison) ends(t *testing.T, id int64) (sim.Job, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), jobWithin)
	defer cancel()
	j, err := p.gitlab.Wait(ctx, id)
	raw, traceErr := p.gitlab.Trace(id)
	if err != nil || traceErr != nil {
		t.Fatalf("job %d: %v, %v (state %s)\n%s", id, err, traceErr, j.Status, last(string(raw)))
	}
	return j, joblog.Text(raw, false)
}
