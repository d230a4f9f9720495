package git

import (
	"strings"
	"testing"
)

// committed is a clone with a commit that the server does not have.
func committed(t *testing.T) (*server, *job, string) {
	t.Helper()
	s := newServer(t, false, false)
	s.commit("main", "a.txt", "one\n")
	j := cloned(t, s)
	j.write("job.txt", "from the job\n")
	j.must("add .")
	j.must("commit -q -m job")
	return s, j, j.must("rev-parse HEAD")
}

func TestPushMovesTheBranch(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"push", "push -q origin main", "push origin HEAD", "push -u origin HEAD:main", "push origin main:refs/heads/main"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			s, j, want := committed(t)
			j.must(line)
			if got := s.git(s.repo, "rev-parse", "main"); got != want {
				t.Errorf("main of the server is %s, want %s", got, want)
			}
			s.git(s.repo, "fsck", "--strict")
			if got := j.must("rev-parse origin/main"); got != want {
				t.Errorf("origin/main is %s, want %s", got, want)
			}
			if _, _, errs := j.run("push"); !strings.Contains(errs, "Everything up-to-date") {
				t.Errorf("the second push says %q", errs)
			}
		})
	}
}

func TestPushOfADetachedHead(t *testing.T) {
	t.Parallel()
	s, j, want := committed(t)
	j.must("checkout -q --detach")
	if code, _, errs := j.run("push"); code != exitFatal || !strings.Contains(errs, "git push origin HEAD:") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	j.must("push origin HEAD:fresh")
	j.must("push origin HEAD:refs/heads/main")
	for _, branch := range []string{"fresh", "main"} {
		if got := s.git(s.repo, "rev-parse", branch); got != want {
			t.Errorf("%s of the server is %s, want %s", branch, got, want)
		}
	}
}

func TestPushToAnAddressWithCredentials(t *testing.T) {
	t.Parallel()
	s, j, want := committed(t)
	j.env = append(j.env, "CI_JOB_TOKEN=")
	if code, _, _ := j.run("push origin main"); code == 0 {
		t.Error("pushed without credentials")
	}
	j.must("push " + strings.Replace(s.address(), "http://", "http://"+tokenUser+":glcbt-64_t0ken+%2F=@", 1) + " HEAD:main")
	if got := s.git(s.repo, "rev-parse", "main"); got != want {
		t.Errorf("main of the server is %s, want %s", got, want)
	}
}

func TestPushOfTags(t *testing.T) {
	t.Parallel()
	s, j, commit := committed(t)
	j.must("tag -a -m release v1")
	j.must("tag light")
	j.must("push origin v1")
	if got := s.git(s.repo, "cat-file", "-t", "v1"); got != "tag" {
		t.Errorf("v1 of the server is a %s, want an annotated tag", got)
	}
	if got := s.git(s.repo, "rev-parse", "v1^{commit}"); got != commit {
		t.Errorf("v1 is %s, want %s", got, commit)
	}
	j.must("push --tags")
	if got := s.git(s.repo, "tag"); got != "light\nv1" {
		t.Errorf("tags of the server are %q", got)
	}
	j.must("push origin :refs/tags/light")
	if got := s.git(s.repo, "tag"); got != "v1" {
		t.Errorf("tags of the server are %q", got)
	}
}

func TestPushThatWouldLoseCommitsIsRejected(t *testing.T) {
	t.Parallel()
	s, j, want := committed(t)
	theirs := s.commit("main", "b.txt", "in between\n")
	if code, _, errs := j.run("push origin main"); code != 1 || !strings.Contains(errs, "failed to push some refs") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if code, _, errs := j.run("push --force-with-lease origin main"); code != 1 || !strings.Contains(errs, "failed to push some refs") {
		t.Errorf("with a lease that is stale: exit code %d, %s", code, errs)
	}
	if got := s.git(s.repo, "rev-parse", "main"); got != theirs {
		t.Fatalf("main of the server is %s, want %s", got, theirs)
	}
	j.must("fetch -q origin")
	j.must("push --force-with-lease origin HEAD:main")
	if got := s.git(s.repo, "rev-parse", "main"); got != want {
		t.Errorf("main of the server is %s, want %s", got, want)
	}
	if code, _, errs := j.run("push --force-with-lease origin HEAD:other"); code != 1 || !strings.Contains(errs, "stale info") {
		t.Errorf("with a lease for what was never seen: exit code %d, %s", code, errs)
	}
	s.commit("main", "c.txt", "again\n")
	j.must("push -f origin main")
	if got := s.git(s.repo, "rev-parse", "main"); got != want {
		t.Errorf("main of the server is %s after --force, want %s", got, want)
	}
}
