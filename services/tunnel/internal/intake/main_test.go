package intake

import (
	"flag"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" { // there it is the number of processes
		_ = flag.Set("test.parallel", "16") // the tests mostly wait
	}
	os.Exit(m.Run())
}
