package library

import (
	"bytes"
	"log"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// TestWarnings: what the library really writes is kept from a command for as long
// as anybody says so, in whatever order they stop, and only that.
func TestWarnings(t *testing.T) {
	flags := log.Flags()
	log.SetFlags(0)
	t.Cleanup(func() { log.SetFlags(flags) })
	SetUp()
	var out bytes.Buffer
	defer LogTo(&out)()
	says := func(want string) {
		t.Helper()
		out.Reset()
		c := &chart.Chart{Metadata: &chart.Metadata{Name: "web"}, Values: map[string]any{"db": map[string]any{"login": map[string]any{"user": "web"}}}}
		if _, err := chartutil.CoalesceValues(c, map[string]any{"db": map[string]any{"login": "hunter2"}}); err != nil {
			t.Fatal(err)
		}
		log.Print("another line")
		if got := out.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	const warning, other = "warning: cannot overwrite table with non table for web.db.login (map[user:web])\n", "another line\n"
	says(warning + other)
	first := WithoutWarnings()
	says(other)
	second := WithoutWarnings()
	first()
	first()
	SetUp() // a command begins
	says(other)
	second()
	says(warning + other)
}
