//go:build linux && node

package node

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestNode(t *testing.T) {
	t.Log(Shared().Cluster().Kubeconfig())
}
