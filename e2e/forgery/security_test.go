package forgery

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const securityPage = "../../docs/security.md"

// named is a link to a test: [TestName](file) or [TestName/case](file).
var named = regexp.MustCompile(`\[(Test\w+)(?:/([^\]]+))?\]\(([^)]+)\)`)

// TestTheSecurityPageNamesItsTests keeps docs/security.md honest: each of its
// statements names a test, and each test that it names is there.
func TestTheSecurityPageNamesItsTests(t *testing.T) {
	page, err := os.ReadFile(securityPage)
	must(t, err)
	statements, tests := 0, 0
	for _, item := range items(string(page)) {
		statements++
		links := named.FindAllStringSubmatch(item, -1)
		if len(links) == 0 {
			t.Errorf("no test shows this: %s", item)
		}
		for _, l := range links {
			tests++
			holds(t, l[1], l[2], l[3])
		}
	}
	if statements < 30 || tests < statements {
		t.Errorf("%d statements with %d tests found", statements, tests)
	}
}

// items are the entries of the page's lists and the rows of its tables.
func items(page string) []string {
	var out []string
	open := false
	for line := range strings.SplitSeq(page, "\n") {
		switch {
		case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "| `"):
			out, open = append(out, line), strings.HasPrefix(line, "- ")
		case open && strings.HasPrefix(line, "  "):
			out[len(out)-1] += " " + strings.TrimSpace(line)
		default:
			open = false
		}
	}
	return out
}

func holds(t *testing.T, name, part, file string) {
	t.Helper()
	path := filepath.Join(filepath.Dir(securityPage), filepath.FromSlash(file))
	text, err := os.ReadFile(path)
	switch {
	case err != nil:
		t.Error(err)
	case part == "" && !strings.Contains(string(text), "\nfunc "+name+"("):
		t.Errorf("there is no %s in %s", name, file)
	case part != "" && !(mentions(filepath.Dir(path), "\nfunc "+name+"(") && mentions(filepath.Dir(path), `"`+part+`"`)):
		t.Errorf("there is no %s with a case %q beside %s", name, part, file)
	}
}

// mentions looks for a text in the tests of a package.
func mentions(dir, text string) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), text) {
			return true
		}
	}
	return false
}
