package cluster

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// EnvLog is the environment variable that names a file for the logs of the plane
// that Shared starts.
const EnvLog = "TOWLINE_E2E_LOG"

// sharedTimeout covers a first build on a busy machine.
const sharedTimeout = 30 * time.Minute

var shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Shared returns the cluster of this test process and starts it on first use.
// Tests keep apart by using a namespace each, see Namespace. It ends with the
// test process, or earlier when TestMain calls Main. The first build may exceed
// go test's own time limit; run withcluster --build-only before.
func Shared(tb testing.TB) *Cluster {
	tb.Helper()
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), sharedTimeout)
		defer cancel()
		shared.cluster, shared.err = Start(ctx, Options{Log: os.Getenv(EnvLog), Progress: os.Stderr})
	})
	if shared.err != nil {
		tb.Fatalf("start the shared cluster: %v", shared.err)
	}
	return shared.cluster
}

// Main runs a package's tests and then stops the shared cluster, if any test
// started it. It returns the exit code for os.Exit:
//
//	func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if shared.cluster == nil {
		return code
	}
	if err := shared.cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the shared cluster:", err)
		return max(code, 1)
	}
	return code
}
