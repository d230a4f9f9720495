package machine

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

func run(t *testing.T, line string) (out, errs string, code int) {
	t.Helper()
	words := strings.Fields(line)
	var stdout, stderr strings.Builder
	code = Commands()[words[0]](t.Context(), tool.Invocation{
		Name: words[0], Args: words[1:], Environ: []string{"A=1", "B=two words", "A=last"}, Stdout: &stdout, Stderr: &stderr,
	})
	return stdout.String(), stderr.String(), code
}

func TestAnswers(t *testing.T) {
	uid, user := os.Geteuid(), name(os.Geteuid())
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]struct {
		code int
		out  string
	}{
		"whoami": {0, user}, "whoami x": {1, ""}, "id -u": {0, fmt.Sprint(uid)}, "id -un": {0, user}, "id -g": {0, fmt.Sprint(os.Getegid())}, "id --group --name": {0, name(os.Getegid())},
		"id":    {0, fmt.Sprintf("uid=%d(%s) gid=%d(%s) groups=%d(%s)", uid, user, os.Getegid(), name(os.Getegid()), os.Getegid(), name(os.Getegid()))},
		"id -n": {1, ""}, "id -u -g": {1, ""}, "id nobody-else": {1, ""}, "id -u " + user: {0, fmt.Sprint(uid)},
		"hostname": {0, host}, "hostname -s": {0, strings.Split(host, ".")[0]}, "hostname new": {1, ""},
		"nproc --ignore=100000": {0, "1"}, "nproc --ignore=x": {1, ""}, "nproc x": {1, ""},
		"printenv A": {0, "last"}, "printenv B": {0, "two words"}, "printenv NOPE": {1, ""}, "printenv B NOPE": {1, "two words"}, "printenv --nope": {2, ""},
		"clear": {0, ""}, "reset": {0, ""}, "tput cols": {0, "80"}, "tput setaf 1": {0, ""}, "tput -T xterm bold": {0, ""}, "tput colors": {0, "-1"}, "uuidgen -t": {1, ""},
	} {
		out, errs, code := run(t, line)
		if want.out != "" {
			want.out += "\n"
		}
		if code != want.code || out != want.out || code != 0 && errs == "" && !strings.Contains(line, "printenv") {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want %+v", line, code, out, errs, want)
		}
	}
	if out, _, _ := run(t, "printenv"); out != "A=1\nB=two words\nA=last\n" {
		t.Errorf("printenv: %q", out)
	}
}

func TestNamesOfUsers(t *testing.T) {
	if name(0) != "root" || name(65532) != "job" {
		t.Errorf("%s, %s", name(0), name(65532))
	}
}

func TestUUIDsAreRandomAndWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		out, _, code := run(t, "uuidgen")
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n$`).MatchString(out) || code != 0 || seen[out] {
			t.Fatalf("%q, exit %d", out, code)
		}
		seen[out] = true
	}
}
