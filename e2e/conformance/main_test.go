package conformance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/towline/towline/e2e/cluster"
	"github.com/towline/towline/e2e/rig"
)

// binaries is the directory of the services.
var binaries string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if binaries = os.Getenv(rig.EnvBinaries); binaries == "" {
		dir, err := os.MkdirTemp("", "towline-conformance-")
		if err == nil {
			defer os.RemoveAll(dir)
			err = rig.Build(context.Background(), dir, false, os.Stderr)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		binaries = dir
	}
	return cluster.Main(m)
}
