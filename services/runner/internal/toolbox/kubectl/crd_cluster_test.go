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
	for _, args := range []string{"explain configmaps.data", "apply -f -", "wait --for=condition=Established --timeout=10s crd/" + kind, "get " + kind} {
		if code, _, errs := sh.run(strings.Fields(args)...); code != 0 {
			t.Fatalf("%s: %s", args, errs)
		}
	}
	explain := func(field string) {
		t.Helper()
		tick := time.NewTicker(100 * time.Millisecond) // the server publishes schemas a little later
		defer tick.Stop()
		deadline := time.After(20 * time.Second)
		for {
			code, out, errs := sh.run("explain", kind+".spec."+field)
			if code == 0 && strings.Contains(out, "when to run") {
				return
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("explain %s: %s", field, errs)
			}
		}
	}
	explain("schedule")
	sh.stdin = crd("cron")
	if code, _, errs := sh.run("apply", "-f", "-"); code != 0 {
		t.Fatal(errs)
	}
	explain("cron")
	sh.stdin = "apiVersion: " + group + ".example/v1\nkind: Backup\nmetadata: {name: b, namespace: default}\nspec: {cron: daily}\n"
	if code, out, errs := sh.run("apply", "-f", "-"); code != 0 || !strings.Contains(out, "created") {
		t.Errorf("%d %q %q", code, out, errs)
	}
}
