package order

import (
	"testing"

	"github.com/towline/towline/services/runner/internal/apply/objref"
)

func TestPhases(t *testing.T) {
	ref := func(group, kind, name string) objref.Ref { return objref.Ref{Group: group, Kind: kind, Name: name} }
	ns, crd, cr := ref("", "Namespace", "a"), ref("apiextensions.k8s.io", "CustomResourceDefinition", "b.example.com"), ref("example.com", "Service", "c")
	service, web, hook := ref("", "Service", "d"), ref("apps", "Deployment", "e"), ref("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "f")
	early := ref("", "ConfigMap", "g")
	g := Graph{ns: nil, crd: nil, cr: nil, service: nil, web: {ref("", "Secret", "elsewhere")}, hook: nil, early: {hook}}
	phases, circle := g.Phases()
	if circle != nil || len(phases) != len(g) {
		t.Fatalf("%v, circle %v", phases, circle)
	}
	for _, pair := range [][2]objref.Ref{{ns, crd}, {crd, service}, {service, cr}, {service, web}, {web, hook}, {hook, early}} {
		if phases[pair[0]] >= phases[pair[1]] {
			t.Errorf("%s is in phase %d, %s in %d", pair[0], phases[pair[0]], pair[1], phases[pair[1]])
		}
	}
}

func TestCircles(t *testing.T) {
	ref := func(name string) objref.Ref { return objref.Ref{Kind: "ConfigMap", Namespace: "x", Name: name} }
	g := Graph{ref("a"): {ref("b")}, ref("b"): {ref("c")}, ref("c"): {ref("b")}, ref("free"): nil, ref("self"): {ref("self")}}
	for range 20 {
		phases, circle := g.Phases()
		if len(phases) != 1 || len(circle) != 3 || circle[0] != ref("b") || circle[1] != ref("c") || circle[2] != ref("b") {
			t.Fatalf("phases %v, circle %v", phases, circle)
		}
	}
}

func TestDependencies(t *testing.T) {
	got, err := Dependencies("apps/namespaces/shop/Deployment/web, /ConfigMap/x,apps/namespaces/shop/Deployment/web")
	if err != nil || len(got) != 2 || got[0] != (objref.Ref{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}) || got[1] != (objref.Ref{Kind: "ConfigMap", Name: "x"}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"web", "apps/Deployment", "apps/namespaces//Deployment/web", "a/b/c/d/e"} {
		if got, err := Dependencies(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
