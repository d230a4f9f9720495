package job

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/towline/towline/services/runner/internal/sandbox"
	"github.com/towline/towline/services/runner/internal/toolbox"
)

// toolboxFolder makes a folder as `make toolbox` does.
func toolboxFolder(t *testing.T) string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("this test needs a static busybox; on Debian or Ubuntu: apt-get install busybox-static")
	}
	call := filepath.Join(t.TempDir(), "call")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", call, "../../cmd/call")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "toolbox")
	if err := toolbox.MakeFolder(dir, busybox, call, []string{"sh", "bash", "kubectl", "timeout"}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestConfinedProcessRunsThePrograms(t *testing.T) {
	requireSandbox(t)
	spec := testSpec(t,
		`printf 'b\na\n' | sort | sed 's/^/got /'`,
		`echo 'echo script $1' > s.sh`, `chmod +x s.sh`, `./s.sh x`,
		`find . -name '*.sh' | xargs -n1 sh -c 'echo called $1' _`,
		`env A=1 bash -c 'echo $A; exit 4' || echo code $?`,
		`cp $(command -v busybox) ./mine`, `./mine true || echo not executed $?`,
		`xargs ./mine true < /dev/null || echo neither by a program`,
		`kubectl version --client --output=yaml | grep -c gitVersion`,
		`timeout 0.1 busybox sleep 10 || echo late $?`,
		`[ -z "${TOWLINE_CALL-}" ] && echo unseen`,
		`sh -c 'sleep 600 & echo $! > pid; kill $!; wait $!; echo killed $?'`,
	)
	spec.Sandbox, spec.Toolbox = sandbox.ModeEnforce, []string{toolboxFolder(t)}
	got := startChild(t).run(t, spec)
	want := "got a\ngot b\nscript x\ncalled ./s.sh\n1\ncode 4\nnot executed 126\nneither by a program\n1\nlate 124\nunseen\nkilled 143\n"
	if got.said() != want || got.result.State != StateSuccess {
		t.Errorf("stdout %q\nwant   %q\nstderr %q\nresult %+v", got.said(), want, got.stderr, got.result)
	}
}
