//go:build integration

package kubectl

import (
	"strings"
	"testing"
	"time"
)

const backups = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: backups.NAME.example}
spec:
  group: NAME.example
  names: {plural: backups, singular: backup, kind: Backup}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {FIELD: {type: string, description: when to run}}}}
`

// TestKindsCreatedByTheJobAreKnown to the commands that follow in the same
// process, and so are changes of their schemas.
func TestKindsCreatedByTheJobAreKnown(t *testing.T) {
	sh := clusterShell(t)
	group := strings.ToLower(t.Name())[:20]
	crd := func(field string) string { return strings.NewReplacer("NAME", group, "FIELD", field).Replace(backups) }
	kind := "backups." + group + ".example"
	sh.stdin = crd("schedule")
	t.Cleanup(func() { sh.run("delete", "crd", kind) })
	for _, args := range []string{"explain configmaps.data", "apply -f -"} {
		if code, _, errs := sh.run(strings.Fields(args)...); code != 0 {
			t.Fatalf("%s: %s", args, errs)
		}
	}
	sh.soon(t, "", "wait", "--for=condition=Established", "--timeout=60s", "crd/"+kind) // fails before there is a status
	sh.soon(t, "", "get", kind, "-n", "default")
	sh.soon(t, "when to run", "explain", kind+".spec.schedule")
	sh.stdin = crd("cron")
	if code, _, errs := sh.run("apply", "-f", "-"); code != 0 {
		t.Fatal(errs)
	}
	sh.soon(t, "when to run", "explain", kind+".spec.cron")
	sh.stdin = "apiVersion: " + group + ".example/v1\nkind: Backup\nmetadata: {name: b, namespace: default}\nspec: {cron: daily}\n"
	if code, out, errs := sh.run("apply", "-f", "-"); code != 0 || !strings.Contains(out, "created") {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

// soon runs a command until it succeeds and says what it should: servers publish
// kinds and schemas a little after they have accepted them.
func (s *shell) soon(t *testing.T, says string, args ...string) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		code, out, errs := s.run(args...)
		if code == 0 && strings.Contains(out, says) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%v: %d %q %q", args, code, out, errs)
		}
	}
}
