package chart

import (
	"os"
	"testing"

	"github.com/towline/towline/e2e/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }
