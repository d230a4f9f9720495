//go:build linux && node

package node_test

import (
	"os"
	"testing"

	"github.com/towline/towline/e2e/node"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }
