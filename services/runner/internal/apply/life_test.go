//go:build integration

package apply_test

import (
	"maps"
	"slices"
	"testing"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func configMap(name, value string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {value: " + value + "}\n"
}

func TestCreateChangeDelete(t *testing.T) {
	s := open(t)
	s.expect(s.sync(map[string]string{"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", "one")}), "2 created")
	s.expect(s.sync(map[string]string{"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", "one")}), "2 unchanged")
	s.expect(s.sync(map[string]string{"a.yaml": configMap("a", "two"), "b.yaml": configMap("b", "one")}), "1 configured, 1 unchanged")
	s.expect(s.sync(map[string]string{"moved/b.yaml": configMap("b", "one")}), "1 unchanged, 1 pruned")
	s.expect(s.sync(nil), "1 pruned")
	s.expect(s.sync(nil), "")
}
