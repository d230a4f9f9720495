//go:build integration

package apply_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/services/runner/internal/apply"
)

var update = flag.Bool("update", false, "write what the scenarios should come to")

// settings are the options of scenarios, and of single steps of them.
var settings = map[string]func(*apply.Options){
	"definition-and-object/2": func(o *apply.Options) { o.Prune.Propagation = metav1.DeletePropagationBackground },
	"faults/2":                func(o *apply.Options) { o.Invalid = apply.InvalidSkips },
	"refused/1":               func(o *apply.Options) { o.Invalid = apply.InvalidSkips },
}

// TestScenarios applies the steps of each folder of testdata one after the other
// and compares the reports with want. NS in the manifests is a fresh namespace.
func TestScenarios(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/about.txt")
	if err != nil || len(folders) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, about := range folders {
		dir := filepath.Dir(about)
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for n := 1; ; n++ {
				step := fmt.Sprintf("%s/%d", name, n)
				if _, err := os.Stat(filepath.Join("testdata", step)); err != nil {
					break
				}
				s.step(step)
			}
		})
	}
}

func (s *site) step(step string) {
	s.tb.Helper()
	opts := s.options
	if set := settings[step]; set != nil {
		set(&opts)
	}
	rep, err := s.engine.Apply(s.tb.Context(), s.read(s.folder(filepath.Join("testdata", step, "input"))), opts)
	s.must(err)
	got := strings.ReplaceAll(text(&rep), s.namespace, "NS")
	path := filepath.Join("testdata", step, "want", "report.txt")
	if *update {
		s.must(os.MkdirAll(filepath.Dir(path), 0o755))
		s.must(os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	s.must(err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		s.tb.Errorf("%s:\n%s", step, diff)
	}
}

// folder reads the files below dir.
func (s *site) folder(dir string) map[string]string {
	s.tb.Helper()
	files := map[string]string{}
	s.must(filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)] = string(content)
		return err
	}))
	return files
}

// text is a report as a file: the inventory, faults, results, the verdict.
func text(rep *apply.Report) string {
	var b strings.Builder
	if rep.Inventory != "" {
		fmt.Fprintln(&b, "inventory", rep.Inventory)
	}
	for _, f := range rep.Faults {
		fmt.Fprintln(&b, "fault", f.Error())
	}
	for _, r := range rep.Results {
		fmt.Fprintln(&b, r.Line())
		for _, w := range r.Warnings {
			fmt.Fprintln(&b, "  warning:", w)
		}
	}
	if rep.Incomplete != "" {
		fmt.Fprintln(&b, "incomplete:", rep.Incomplete)
	}
	fmt.Fprintln(&b, "total:", summary(rep))
	return b.String()
}
