package conformance

import (
	"os"
	"testing"

	"github.com/towline/towline/e2e/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }
