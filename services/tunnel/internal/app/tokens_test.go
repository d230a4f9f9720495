package app

import (
	"os"
	"strings"
	"testing"
)

func TestTheTokenOfTheLongestPathReadsAProject(t *testing.T) {
	apps := file(t, "apps", "of-apps\n")
	c := &settings{gitopsTokenFile: file(t, "all", "of-all"), gitopsTokens: []string{"acme=" + file(t, "acme", "of-acme"), "Acme/Apps=" + apps, "acme/apps/shop/api=" + file(t, "api", "of-api")}}
	for project, want := range map[string]string{
		"acme/apps/shop": "of-apps", "acme/apps": "of-apps", "ACME/APPS/x": "of-apps", "acme/apps-old/x": "of-acme", "acme/apps/shop/api": "of-api", "acme/apps/shop/api2": "of-apps",
		"acme2/x": "of-all", "other/acme/apps": "of-all",
	} {
		if got, _, err := c.tokenFor(project); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", project, got, err, want)
		}
	}
	if err := os.WriteFile(apps, []byte("rotated"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, origin, err := c.tokenFor("acme/apps/shop"); got != "rotated" || origin != "the token for Acme/Apps of --gitops-tokens" || err != nil {
		t.Errorf("%q of %q, %v", got, origin, err)
	}
	if err := os.Remove(apps); err != nil {
		t.Fatal(err)
	}
	if got, _, err := c.tokenFor("acme/apps/shop"); got != "" || err == nil || !strings.HasPrefix(err.Error(), "the token for Acme/Apps of --gitops-tokens: ") {
		t.Errorf("another token stands in: %q, %v", got, err)
	}
}

func TestWhatIsNoListOfTokens(t *testing.T) {
	for list, want := range map[string]string{"acme": `"acme": want the path`, "=f": "want the path", "acme=": "want the path", "/acme=f": "want the path", "a b=f": "want the path", "acme=f,ACME=g": "ACME is given twice"} {
		if err := checkProjectTokens(strings.Split(list, ",")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", list, err)
		}
	}
	if err := checkProjectTokens([]string{"acme/apps=/etc/a=b"}); err != nil {
		t.Error(err)
	}
}
