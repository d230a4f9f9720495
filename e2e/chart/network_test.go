package chart

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
)

// exits lists where a service may connect to, one line per rule.
func exits(t *testing.T, r rendered, service string) []string {
	t.Helper()
	var out []string
	for _, e := range find[networkingv1.NetworkPolicy](t, r, "NetworkPolicy/towline-"+service).Spec.Egress {
		var to, ports []string
		for _, peer := range e.To {
			switch {
			case peer.IPBlock != nil:
				to = append(to, peer.IPBlock.CIDR)
			case peer.NamespaceSelector != nil:
				to = append(to, "pods")
			default:
				to = append(to, peer.PodSelector.MatchLabels["app.kubernetes.io/component"])
			}
		}
		for _, p := range e.Ports {
			if !slices.Contains(ports, p.Port.String()) {
				ports = append(ports, p.Port.String())
			}
		}
		if len(to) == 0 {
			to = []string{"anywhere"}
		}
		out = append(out, strings.Join(to, " ")+" at "+strings.Join(ports, " "))
	}
	return out
}

func TestOnlyTheTunnelLeavesTheCluster(t *testing.T) {
	const dns = "pods 169.254.0.0/16 at 53 5353"
	r := render(t, combinations["narrowed-and-with-an-agent-account"])
	want := map[string][]string{
		"tunnel": {dns, "pods 198.51.100.0/24 at 6380", "policy at http", "anywhere at 443"},
		"policy": {"203.0.113.7/32 at 8443"},
		"runner": {dns, "pods 198.51.100.0/24 at 6380", "policy at http", "tunnel at egress", "pods 192.0.2.0/24 at 8444", "203.0.113.7/32 at 8443"},
	}
	for _, s := range services {
		if diff := cmp.Diff(want[s], exits(t, r, s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s, diff)
		}
	}
	// Without a cluster to ask, the API server may be anywhere inside.
	const inside = "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7 at 443 6443"
	if diff := cmp.Diff([]string{inside}, exits(t, render(t, minimal), "policy")); diff != "" {
		t.Errorf("policy of the minimal values (-want +got):\n%s", diff)
	}
	r = render(t, combinations["without-network-policies"])
	if r.has("NetworkPolicy/towline-tunnel") || r.has("NetworkPolicy/towline-policy") || r.has("NetworkPolicy/towline-runner") {
		t.Error("there are NetworkPolicies although they are not wanted")
	}
}

func TestPortsComeFromTheAddresses(t *testing.T) {
	gitlab := map[string]string{
		"https://gitlab.example.com":                     "443",
		"http://gitlab":                                  "80",
		"https://gitlab.example.com:8443/":               "8443",
		"http://gitlab.internal:8080/gitlab":             "8080",
		"https://[2001:db8::1]":                          "443",
		"https://[2001:db8::1]:9443/x?y=:1":              "9443",
		"https://gitlab.example.com/a:1/merge_requests/": "443",
	}
	for url, port := range gitlab {
		out := exits(t, render(t, minimal+"---\ngitlab: {url: '"+url+"'}\n"), "tunnel")
		if want := "anywhere at " + port; out[len(out)-1] != want {
			t.Errorf("gitlab.url %s: %s, want %s", url, out[len(out)-1], want)
		}
	}
	redis := map[string]string{
		"redis://redis.example.com":                     "pods at 1 6379",
		"redis://redis.example.com:7000":                "pods at 1 7000",
		"rediss://:secret@redis.example.com:6380/0":     "pods at 1 6380",
		"redis://user:a:b@[fd00::1]:7001/2?protocol=3":  "pods at 1 7001",
		"redis://redis.example.com/0?dial_timeout=1:50": "pods at 1 6379",
	}
	for url, want := range redis {
		out := exits(t, render(t, minimal+"---\nredis: {external: {url: '"+url+"'}}\nnetworkPolicy: {redis: {cidrs: [], ports: [1]}}\n"), "tunnel")
		if out[1] != want {
			t.Errorf("redis.external.url %s: %s, want %s", url, out[1], want)
		}
	}
}
