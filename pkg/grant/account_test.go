package grant

import (
	"strings"
	"testing"
)

func TestNamesOfServiceAccountsAreBounded(t *testing.T) {
	const prefix = "system:serviceaccount:"
	for user, want := range map[string]bool{
		prefix + "towline:agent": true,
		prefix + strings.Repeat("n", 63) + ":" + strings.Repeat("a", 253): true,
		prefix + strings.Repeat("n", 64) + ":a":                           false,
		prefix + "n:" + strings.Repeat("a", 254):                          false,
		prefix + "n:a:b":                                                  false,
		prefix + "n":                                                      false,
		prefix + ":a":                                                     false,
		prefix + "n:":                                                     false,
		prefix + "n:a\n":                                                  false,
		"system:masters":                                                  false,
		"x" + prefix + "n:a":                                              false,
	} {
		if got := isAccount(user); got != want {
			t.Errorf("%q: %t", user, got)
		}
	}
	if !IsNamespace(strings.Repeat("a", 63)) || IsNamespace(strings.Repeat("a", 64)) || IsNamespace("") || IsNamespace("a-") {
		t.Error("namespaces have 1 to 63 characters, and a dash within only")
	}
}
