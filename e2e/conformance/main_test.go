package conformance

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/towline/towline/e2e/rig"
)

// TestMain judges a run of everything by what it has shown.
func TestMain(m *testing.M) {
	code := rig.Main(m)
	if only := flag.Lookup("test.run").Value.String(); code == 0 && (only == "" || only == ".") && flag.Lookup("test.skip").Value.String() == "" {
		for _, what := range unshown() {
			fmt.Fprintln(os.Stderr, what)
			code = 1
		}
	}
	os.Exit(code)
}
