package sandbox

import (
	"os"
	"os/exec"
	"testing"
)

// BenchmarkEnter is the cost of a confined process, start and end included; one
// that is not confined is measured beside it.
func BenchmarkEnter(b *testing.B) {
	for _, mode := range []string{ModeOff, ModeEnforce} {
		b.Run(mode, func(b *testing.B) {
			text := `{"Config":{"Mode":"` + mode + `","ProjectDir":"` + b.TempDir() + `","TempDir":"` + b.TempDir() + `","Toolbox":["` + b.TempDir() + `"]}}`
			for b.Loop() {
				cmd := exec.Command("/proc/self/exe")
				cmd.Env = []string{programsEnv + "=" + text}
				cmd.Stderr = os.Stderr
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
