package chart

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// place is where a connection begins or ends: a pod, or an address outside.
type place struct {
	namespace string
	labels    labels.Set
	ports     map[string]int32 // of a pod, by name
	address   netip.Addr       // outside; pods have none that a policy could name
}

// network says what rendered policies let through, as the documentation of
// NetworkPolicy has it: a pod that no policy selects is open, one that some
// select admits what one of them admits, and both ends have to.
type network []*networkingv1.NetworkPolicy

func networkOf(t *testing.T, r rendered) network {
	t.Helper()
	var n network
	for _, o := range r.objects {
		if o.GetKind() == "NetworkPolicy" {
			n = append(n, as[networkingv1.NetworkPolicy](t, o))
		}
	}
	return n
}

func (n network) allows(t *testing.T, from, to place, port int32) bool {
	t.Helper()
	return n.side(t, from, to, to, port, networkingv1.PolicyTypeEgress) && n.side(t, to, from, to, port, networkingv1.PolicyTypeIngress)
}

// side is what the policies of one end say of the other.
func (n network) side(t *testing.T, own, other, target place, port int32, way networkingv1.PolicyType) bool {
	t.Helper()
	isolated := false
	for _, p := range n {
		if own.address.IsValid() || p.Namespace != own.namespace || !slices.Contains(p.Spec.PolicyTypes, way) || !selects(t, &p.Spec.PodSelector, own.labels) {
			continue
		}
		isolated = true
		if way == networkingv1.PolicyTypeEgress {
			for _, rule := range p.Spec.Egress {
				if admits(t, rule.To, rule.Ports, p.Namespace, other, target, port) {
					return true
				}
			}
			continue
		}
		for _, rule := range p.Spec.Ingress {
			if admits(t, rule.From, rule.Ports, p.Namespace, other, target, port) {
				return true
			}
		}
	}
	return !isolated
}

func admits(t *testing.T, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, namespace string, other, target place, port int32) bool {
	t.Helper()
	atPort := func(p networkingv1.NetworkPolicyPort) bool {
		if p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP {
			return false
		}
		if p.Port == nil {
			return true
		}
		if p.Port.Type == intstr.String {
			return target.ports[p.Port.StrVal] == port
		}
		last := p.Port.IntVal
		if p.EndPort != nil {
			last = *p.EndPort
		}
		return port >= p.Port.IntVal && port <= last
	}
	isPeer := func(p networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock != nil {
			return inBlock(t, p.IPBlock, other.address)
		}
		if other.address.IsValid() {
			return false
		}
		if p.NamespaceSelector == nil {
			return other.namespace == namespace && selects(t, p.PodSelector, other.labels)
		}
		inNamespace := selects(t, p.NamespaceSelector, labels.Set{"kubernetes.io/metadata.name": other.namespace})
		return inNamespace && (p.PodSelector == nil || selects(t, p.PodSelector, other.labels))
	}
	return (len(ports) == 0 || slices.ContainsFunc(ports, atPort)) && (len(peers) == 0 || slices.ContainsFunc(peers, isPeer))
}

// selectors are what became of selectors of rendered policies. The same few are
// asked about each pair of places and each port, and to make one takes long.
var selectors = map[*metav1.LabelSelector]labels.Selector{}

func selects(t *testing.T, s *metav1.LabelSelector, l labels.Set) bool {
	t.Helper()
	selector, known := selectors[s]
	if !known {
		var err error
		if selector, err = metav1.LabelSelectorAsSelector(s); err != nil {
			t.Fatal(err)
		}
		selectors[s] = selector
	}
	return selector.Matches(l)
}

func inBlock(t *testing.T, b *networkingv1.IPBlock, a netip.Addr) bool {
	t.Helper()
	if !a.IsValid() {
		return false
	}
	within := func(cidr string) bool {
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			t.Fatal(err)
		}
		return p.Contains(a)
	}
	return within(b.CIDR) && !slices.ContainsFunc(b.Except, within)
}

// places are the pods of a rendering, and whom they could have to do with.
func places(t *testing.T, r rendered) map[string]place {
	t.Helper()
	all := map[string]place{
		"stranger":   {namespace: "towline", labels: labels.Set{"app": "stranger"}},
		"other":      {namespace: "shop", labels: labels.Set{"app.kubernetes.io/component": "tunnel", "app.kubernetes.io/name": "towline", "app.kubernetes.io/instance": "towline"}},
		"dns":        {namespace: "kube-system", labels: labels.Set{"k8s-app": "kube-dns"}},
		"prometheus": {namespace: "monitoring", labels: labels.Set{"app": "prometheus"}},
		"keda":       {namespace: "keda", labels: labels.Set{"app": "keda-operator"}},
		"gitlab":     {address: netip.MustParseAddr("198.51.100.7")},
		"internet":   {address: netip.MustParseAddr("203.0.113.99")},
		"apiserver":  {address: netip.MustParseAddr("10.0.0.1")},
		"metadata":   {address: netip.MustParseAddr("169.254.169.254")},
	}
	for component, p := range pods(t, r) {
		at := place{namespace: "towline", labels: p.Labels, ports: map[string]int32{}}
		for _, c := range p.Spec.Containers[0].Ports {
			at.ports[c.Name] = c.ContainerPort
		}
		all[component] = at
	}
	return all
}

var everyPort = []int32{22, 53, 80, 443, 3128, 5000, 6379, 6443, 8080, 8081, 8082, 8083, 8181, 8888, 9880, 26379}

// connections are all that are possible, as lines like "tunnel > policy 8081".
func connections(t *testing.T, r rendered) []string {
	t.Helper()
	n, at := networkOf(t, r), places(t, r)
	own := pods(t, r)
	var out []string
	for from := range at {
		for to := range at {
			_, ours := own[from]
			_, theirs := own[to]
			if from == to || !ours && !theirs {
				continue
			}
			for _, port := range everyPort {
				if n.allows(t, at[from], at[to], port) {
					out = append(out, fmt.Sprintf("%s > %s %d", from, to, port))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// The whole matrix of connections, for what matters: every line is wanted, and
// no other exists.
func TestConnectionsAreTheOnesThatAreNeeded(t *testing.T) {
	dns := func(who ...string) (out []string) {
		for _, w := range who {
			for _, at := range []string{"dns", "keda", "other", "prometheus", "stranger"} { // name servers may be any pods
				out = append(out, w+" > "+at+" 53")
			}
			out = append(out, w+" > metadata 53") // the node-local one is link-local
		}
		return out
	}
	anywhere := func(who string, port int) (out []string) {
		for _, at := range []string{"gitlab", "internet", "apiserver", "metadata", "dns", "keda", "other", "prometheus", "stranger"} {
			out = append(out, fmt.Sprintf("%s > %s %d", who, at, port))
		}
		return out
	}
	base := append(append(dns("tunnel", "runner", "selfcheck"), anywhere("tunnel", 443)...), // GitLab may be anywhere
		"tunnel > policy 8081", "tunnel > redis 6379",
		"runner > policy 8081", "runner > redis 6379", "runner > tunnel 8082", "runner > apiserver 443", "runner > apiserver 6443",
		"policy > apiserver 443", "policy > apiserver 6443",
		"selfcheck > policy 8081", "selfcheck > redis 6379", "selfcheck > tunnel 8080", "selfcheck > tunnel 8082", "selfcheck > apiserver 443", "selfcheck > apiserver 6443",
	)
	without := func(lines []string, drop func(string) bool) []string {
		return slices.DeleteFunc(slices.Clone(lines), drop)
	}
	tests := map[string][]string{
		"minimal": base,
		"monitored": append(slices.Clone(base),
			"prometheus > tunnel 8080", "prometheus > policy 8081", "prometheus > runner 8083"),
		"without-self-check": without(base, func(l string) bool { return strings.HasPrefix(l, "selfcheck ") }),
		"proxy-and-ca-as-values": append(without(base, func(l string) bool {
			return strings.HasPrefix(l, "tunnel > ") && strings.HasSuffix(l, " 443")
		}), "tunnel > gitlab 443", "tunnel > gitlab 3128"),
		// Ports that only the values know: of pods, of a proxy, of hosts anywhere.
		"ports-behind-services": append(append(slices.Clone(base), anywhere("tunnel", 5000)...),
			"tunnel > gitlab 8181", "tunnel > gitlab 8888", "tunnel > internet 22",
			"runner > dns 80", "runner > keda 80", "runner > other 80", "runner > prometheus 80", "runner > stranger 80",
			"runner > dns 9880", "runner > keda 9880", "runner > other 9880", "runner > prometheus 9880", "runner > stranger 9880"),
		"from-gitlabs-chart": append(slices.Clone(base), anywhere("tunnel", 3128)...),
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			slices.Sort(want)
			got := connections(t, render(t, combinations[name]))
			for _, l := range got {
				if !slices.Contains(want, l) {
					t.Errorf("is possible and not wanted: %s", l)
				}
			}
			for _, l := range want {
				if !slices.Contains(got, l) {
					t.Errorf("is wanted and not possible: %s", l)
				}
			}
		})
	}
}

// In every combination with policies, nobody comes in who has no business here.
func TestStrangersNeverComeIn(t *testing.T) {
	for name, documents := range combinations {
		if name == "without-network-policies" {
			continue
		}
		for _, l := range connections(t, render(t, documents)) {
			from, to, _ := strings.Cut(l, " > ")
			if slices.Contains([]string{"stranger", "other", "internet", "gitlab", "metadata", "dns"}, from) {
				t.Errorf("%s: %s", name, l)
			}
			if from == "runner" && (strings.HasPrefix(to, "internet") || strings.HasPrefix(to, "gitlab")) {
				t.Errorf("%s: the runner leaves the cluster: %s", name, l)
			}
			if from == "redis" {
				t.Errorf("%s: Redis connects: %s", name, l)
			}
			if from == "keda" && name != "autoscaled-by-keda" {
				t.Errorf("%s: %s", name, l)
			}
		}
	}
}

// The evaluator itself: known answers of the documentation's rules.
func TestTheEvaluatorKnowsTheRules(t *testing.T) {
	tcp, port := corev1.ProtocolTCP, intstr.FromInt32(80)
	policy := func(ns string, spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns}, Spec: spec}
	}
	a, b := place{namespace: "n", labels: labels.Set{"app": "a"}}, place{namespace: "n", labels: labels.Set{"app": "b"}}
	elsewhere := place{namespace: "m", labels: labels.Set{"app": "b"}}
	outside := place{address: netip.MustParseAddr("192.0.2.5")}
	select1 := metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}
	toB := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "b"}}}
	n := network{policy("n", networkingv1.NetworkPolicySpec{
		PodSelector: select1, PolicyTypes: []networkingv1.PolicyType{"Egress"},
		Egress: []networkingv1.NetworkPolicyEgressRule{
			{To: []networkingv1.NetworkPolicyPeer{toB}, Ports: []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &port}}},
			{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "192.0.2.0/24", Except: []string{"192.0.2.128/25"}}}}},
		},
	})}
	for name, tt := range map[string]struct {
		from, to place
		port     int32
		want     bool
	}{
		"to the peer at the port":     {a, b, 80, true},
		"at another port":             {a, b, 81, false},
		"same labels elsewhere":       {a, elsewhere, 80, false},
		"not selected":                {b, a, 22, true},
		"in the block":                {a, outside, 22, true},
		"in the exception":            {a, place{address: netip.MustParseAddr("192.0.2.200")}, 22, false},
		"outside of the block":        {a, place{address: netip.MustParseAddr("198.51.100.1")}, 22, false},
		"another namespace's is open": {elsewhere, outside, 22, true},
	} {
		if got := n.allows(t, tt.from, tt.to, tt.port); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}
