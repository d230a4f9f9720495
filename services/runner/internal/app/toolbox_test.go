package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestToolboxTellsWhatJobsCanRun(t *testing.T) {
	dir := t.TempDir()
	for name, from := range map[string]string{"fixed": "busybox", "moving": "bash"} {
		path, err := exec.LookPath(from)
		if err != nil {
			t.Fatalf("this test needs %s; on Debian or Ubuntu: apt-get install bash busybox-static", from)
		}
		program, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), program, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if err := Run(t.Context(), []string{ToolboxCommand, "--toolbox=" + dir}, noEnv, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^kubectl +built in +`, `(?m)^fixed +` + dir + `/fixed +[0-9.]+$`, `(?m)^moving +` + dir + `/moving +DOES NOT RUN: dynamically linked`, `1 program\(s\) cannot run`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

func TestToolboxMakeSaysWhatItNeeds(t *testing.T) {
	err := Run(t.Context(), []string{ToolboxCommand, "make", t.TempDir()}, noEnv, &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), "-busybox FILE") {
		t.Errorf("error = %v", err)
	}
}
