package objref

import (
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	for key, want := range map[string]Ref{
		"shop_web_apps_Deployment":                                           {Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"},
		"shop_settings__ConfigMap":                                           {Kind: "ConfigMap", Namespace: "shop", Name: "settings"},
		"_system__reader_rbac.authorization.k8s.io_ClusterRole":              {Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "system:reader"},
		"shop_my_x5frole_rbac.authorization.k8s.io_Role":                     {Group: "rbac.authorization.k8s.io", Kind: "Role", Namespace: "shop", Name: "my_role"},
		"_a___x5f_x40b_x20_xc3_xa9_rbac.authorization.k8s.io_ClusterRole":    {Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "a:_@b \u00e9"},
		"_backups.example.com_apiextensions.k8s.io_CustomResourceDefinition": {Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition", Name: "backups.example.com"},
	} {
		got, err := ParseKey(key)
		if err != nil || got != want || want.Key() != key {
			t.Errorf("%s: %+v, %v; back: %s", key, got, err, want.Key())
		}
	}
	// An earlier version wrote it so.
	if got, err := ParseKey("shop_my_role_rbac.authorization.k8s.io_Role"); err != nil || got.Name != "my_role" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, r := range []Ref{{Kind: "ConfigMap", Namespace: "my_ns", Name: "a"}, {Kind: "ConfigMap", Namespace: "a@b", Name: "a"}, {Group: "example.com", Kind: "My_Kind", Name: "a"}, {Kind: "ConfigMap", Name: strings.Repeat("a", 250)}} {
		if r.CheckKey() == nil {
			t.Errorf("%s is taken as a key", r.Key())
		}
	}
	for _, key := range []string{"", "web", "a_b", "a_b_c", "a__g_Kind", "a_b_g_", "a_b_c_g_Kind", "a_b_x61_g_Kind", "a_b_xC3_g_Kind", "a_b_x3a_g_Kind", "a_b@_g_Kind"} {
		if got, err := ParseKey(key); err == nil {
			t.Errorf("%q: %+v", key, got)
		}
	}
}

// FuzzParseKey: what is read is written the same way.
func FuzzParseKey(f *testing.F) {
	f.Add("shop_web_apps_Deployment")
	f.Add("_a___x5f_x40b_x20_rbac.authorization.k8s.io_ClusterRole")
	f.Add("_my_role_rbac.authorization.k8s.io_ClusterRole")
	f.Add("_system__reader_rbac.authorization.k8s.io_ClusterRole")
	f.Fuzz(func(t *testing.T, key string) {
		r, err := ParseKey(key)
		if err != nil {
			return
		}
		if again, err := ParseKey(r.Key()); err != nil || again != r {
			t.Errorf("%q: %+v, again %+v, %v", key, r, again, err)
		}
	})
}
