package git

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/services/runner/internal/egress"
)

// cloned is a job that has cloned the server's repository and works in it.
func cloned(t *testing.T, s *server) *job {
	t.Helper()
	j := newJob(t, Config{Repository: s.address()})
	j.must("clone -q " + s.address() + " app")
	j.dir = filepath.Join(j.dir, "app")
	return j
}

func TestCloneOfTheJobsServerUsesTheToken(t *testing.T) {
	t.Parallel()
	s := newServer(t, false, false)
	sha := s.commit("main", "a.txt", "one\n")
	j := cloned(t, s)
	if got := j.must("rev-parse HEAD"); got != sha {
		t.Errorf("HEAD is %s, want %s", got, sha)
	}
	if text, err := os.ReadFile(filepath.Join(j.dir, "a.txt")); err != nil || string(text) != "one\n" {
		t.Errorf("a.txt: %q, %v", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(j.dir, ".git", "config")); err != nil || strings.Contains(string(text), token) {
		t.Errorf("the configuration holds the token, or %v:\n%s", err, text)
	}
}

func TestCloneTakesBranchTagAndDepth(t *testing.T) {
	t.Parallel()
	s := newServer(t, false, false)
	s.commit("main", "a.txt", "one\n")
	tagged := s.commit("main", "b.txt", "two\n")
	s.git(s.repo, "tag", "-a", "-m", "release", "v1", tagged)
	side := s.commit("side", "c.txt", "three\n")
	for line, want := range map[string]string{
		"-b side":                side,
		"-b v1":                  tagged,
		"-b side --depth 1":      side,
		"--single-branch -b v1":  tagged,
		"--no-tags --depth=1 -q": s.git(s.repo, "rev-parse", "main"),
	} {
		j := newJob(t, Config{Repository: s.address()})
		j.must("clone " + line + " " + s.address() + " x")
		if got := j.must("-C x rev-parse HEAD"); got != want {
			t.Errorf("%s: HEAD is %s, want %s", line, got, want)
		}
	}
}

func TestCloneTrustsTheJobsCA(t *testing.T) {
	t.Parallel()
	s := newServer(t, true, false)
	s.commit("main", "a.txt", "one\n")
	j := newJob(t, Config{Repository: s.address(), CA: s.ca()})
	j.must("clone -q " + s.address() + " app")
	other := newJob(t, Config{Repository: s.address()})
	if code, _, errs := other.run("clone -q " + s.address()); code != exitFatal || !strings.Contains(errs, "certificate") {
		t.Errorf("without the CA: exit code %d, %s", code, errs)
	}
	broken := newJob(t, Config{CA: "nothing"})
	if code, _, errs := broken.run("clone -q " + s.address()); code != exitFatal || !strings.Contains(errs, "no certificate") {
		t.Errorf("with a broken CA: exit code %d, %s", code, errs)
	}
}

func TestTokenGoesToTheJobsServerOnly(t *testing.T) {
	t.Parallel()
	own, foreign := newServer(t, false, false), newServer(t, false, true)
	own.commit("main", "a.txt", "one\n")
	foreign.commit("main", "a.txt", "one\n")
	j := newJob(t, Config{Repository: own.address()})
	j.env = append(j.env, "CI_SERVER_HOST=127.0.0.1", "CI_SERVER_URL="+foreign.URL) // a script's variables decide nothing
	j.must("clone -q " + foreign.address() + " app")
	if got := foreign.authorizations(); got != nil {
		t.Errorf("another port of the host was told %q", got)
	}
	if code, _, _ := j.run("clone -q " + strings.Replace(own.address(), "127.0.0.1", "localhost", 1) + " other"); code == 0 {
		t.Error("another name of the host got the token")
	}
}

func TestTokenDoesNotFollowARedirect(t *testing.T) {
	t.Parallel()
	foreign := newServer(t, false, true)
	foreign.commit("main", "a.txt", "one\n")
	asked := ""
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Authorization")
		http.Redirect(w, r, foreign.URL+r.URL.RequestURI(), http.StatusFound)
	}))
	t.Cleanup(away.Close)
	j := newJob(t, Config{Repository: away.URL + "/group/app.git"})
	code, _, errs := j.run("clone -q " + away.URL + "/group/app.git")
	if asked == "" {
		t.Error("the job's own server did not get the token")
	}
	if got := foreign.authorizations(); got != nil {
		t.Errorf("the server of the redirect was told %q", got)
	}
	if code != 0 {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestErrorsDoNotShowThePassword(t *testing.T) {
	t.Parallel()
	s := newServer(t, false, false)
	j := newJob(t, Config{})
	address := strings.Replace(s.address(), "http://", "http://user:s3cret%2Bword@", 1)
	code, out, errs := j.run("clone " + address)
	if code != exitFatal || strings.Contains(out+errs, "s3cret") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
}

func TestFetchBringsWhatIsNew(t *testing.T) {
	t.Parallel()
	s := newServer(t, false, false)
	s.commit("main", "a.txt", "one\n")
	j := cloned(t, s)
	next := s.commit("main", "b.txt", "two\n")
	side := s.commit("side", "c.txt", "three\n")
	s.git(s.repo, "tag", "v2", next)
	j.must("fetch origin")
	for name, want := range map[string]string{"origin/main": next, "origin/side": side, "v2": next} {
		if got := j.must("rev-parse " + name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	j.must("checkout -q side")
	if got := j.must("rev-parse HEAD"); got != side {
		t.Errorf("HEAD is %s, want %s", got, side)
	}
	j.must("fetch -q --tags") // nothing new is no error
	if code, _, errs := j.run("fetch -q nowhere"); code != exitFatal || !strings.Contains(errs, "nowhere") {
		t.Errorf("unknown remote: exit code %d, %s", code, errs)
	}
	if code, _, errs := j.run("fetch -q origin nothing"); code == 0 || !strings.Contains(errs, "nothing") {
		t.Errorf("unknown branch: exit code %d, %s", code, errs)
	}
}

func TestFetchDeepensAShallowClone(t *testing.T) {
	t.Parallel()
	s := newServer(t, false, false)
	s.commit("main", "a.txt", "one\n")
	s.commit("main", "b.txt", "two\n")
	j := newJob(t, Config{Repository: s.address()})
	j.must("clone -q --depth 1 " + s.address() + " app")
	if got := j.must("-C app rev-list --count HEAD"); got != "1" {
		t.Errorf("a shallow clone has %s commits", got)
	}
	j.must("-C app fetch -q --unshallow")
	if got := j.must("-C app rev-list --count HEAD"); got != "2" {
		t.Errorf("it has %s commits after --unshallow", got)
	}
}

func TestRemoteAddressesAreChanged(t *testing.T) {
	t.Parallel()
	s := newServer(t, false, false)
	sha := s.commit("main", "a.txt", "one\n")
	j := newJob(t, Config{Repository: s.address()})
	j.must("init -q .")
	j.must("remote add origin https://nowhere.invalid/x.git")
	j.must("remote set-url origin " + s.address())
	j.must("fetch -q origin main")
	if got := j.must("rev-parse origin/main"); got != sha {
		t.Errorf("origin/main is %s, want %s", got, sha)
	}
	j.must("remote set-url origin ssh://git@nowhere.invalid/x.git")
	if code, _, errs := j.run("fetch -q origin"); code != exitFatal || !strings.Contains(errs, "http") {
		t.Errorf("ssh: exit code %d, %s", code, errs)
	}
	j.must("remote remove origin")
	if got := j.must("remote"); got != "" {
		t.Errorf("remotes are %q", got)
	}
}

func TestAnswerThatIsTooLongEndsWithAnError(t *testing.T) {
	t.Parallel()
	body := egress.Bound(io.NopCloser(strings.NewReader("0123456789")), 4, errTooLarge)
	text, err := io.ReadAll(body)
	if string(text) != "0123" || err == nil || !strings.Contains(err.Error(), "--depth 1") {
		t.Errorf("read %q, %v", text, err)
	}
}
