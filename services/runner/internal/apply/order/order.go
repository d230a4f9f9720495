package order

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/towline/towline/services/runner/internal/apply/objref"
)

// Annotation names what an object depends on.
const Annotation = "config.kubernetes.io/depends-on"

// maxDependencies of one object.
const maxDependencies = 100

// Waves of kinds: what an earlier one holds, a later one may need.
const (
	waveGround    = iota // namespaces and what is as basic
	waveKinds            // definitions of kinds
	waveSupport          // accounts, rights, configuration, storage, addresses
	waveWorkloads        // everything else
	waveHooks            // what interferes with everything else
)

var waves = map[string]int{
	"Namespace":     waveGround,
	"PriorityClass": waveGround, "StorageClass": waveGround, "IngressClass": waveGround, "RuntimeClass": waveGround,
	"CustomResourceDefinition": waveKinds,
	"ResourceQuota":            waveSupport, "LimitRange": waveSupport, "ServiceAccount": waveSupport,
	"Role": waveSupport, "ClusterRole": waveSupport, "RoleBinding": waveSupport, "ClusterRoleBinding": waveSupport,
	"ConfigMap": waveSupport, "Secret": waveSupport, "PersistentVolume": waveSupport, "PersistentVolumeClaim": waveSupport,
	"Service": waveSupport, "NetworkPolicy": waveSupport, "PodDisruptionBudget": waveSupport,
	"MutatingWebhookConfiguration": waveHooks, "ValidatingWebhookConfiguration": waveHooks,
	"ValidatingAdmissionPolicy": waveHooks, "ValidatingAdmissionPolicyBinding": waveHooks,
	"MutatingAdmissionPolicy": waveHooks, "MutatingAdmissionPolicyBinding": waveHooks, "APIService": waveHooks,
}

// builtIn says whether a group belongs to Kubernetes itself: a custom resource
// may be called Service, too.
func builtIn(group string) bool {
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

func wave(r objref.Ref) int {
	if w, ok := waves[r.Kind]; ok && builtIn(r.Group) {
		return w
	}
	return waveWorkloads
}

// Dependencies reads the annotation; an empty one means none.
func Dependencies(annotation string) ([]objref.Ref, error) {
	if strings.TrimSpace(annotation) == "" {
		return nil, nil
	}
	parts := strings.Split(annotation, ",")
	if len(parts) > maxDependencies {
		return nil, fmt.Errorf("%d dependencies are more than %d", len(parts), maxDependencies)
	}
	var out []objref.Ref
	for _, p := range parts {
		r, err := objref.ParsePath(p)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out, nil
}

// Graph is what is to be ordered. Edges to objects outside of it do not count.
type Graph map[objref.Ref][]objref.Ref

// Phases sorts the objects of a graph into phases: everything an object needs is
// in an earlier one. Objects in or behind a circle are in no phase; circle names
// one that exists.
func (g Graph) Phases() (phases map[objref.Ref]int, circle []objref.Ref) {
	s := &sorter{graph: g, phases: make(map[objref.Ref]int, len(g)), state: make(map[objref.Ref]visit, len(g))}
	// Always in the same order, so that the same circle is named each time.
	for _, r := range slices.SortedFunc(maps.Keys(g), compare) {
		s.visit(r)
	}
	for r, st := range s.state {
		if st == broken {
			delete(s.phases, r)
		}
	}
	return s.phases, s.circle
}

func compare(a, b objref.Ref) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind))
}

type visit int

const (
	open visit = iota + 1
	done
	broken
)

type sorter struct {
	graph  Graph
	phases map[objref.Ref]int
	state  map[objref.Ref]visit
	path   []objref.Ref
	circle []objref.Ref
}

// visit returns whether the object can be ordered.
func (s *sorter) visit(r objref.Ref) bool {
	switch s.state[r] {
	case done:
		return true
	case broken:
		return false
	case open:
		if s.circle == nil {
			s.circle = append(slices.Clone(s.path[slices.Index(s.path, r):]), r)
		}
		return false
	}
	s.state[r] = open
	s.path = append(s.path, r)
	phase, ok := wave(r), true
	for _, need := range s.graph[r] {
		if _, inside := s.graph[need]; !inside {
			continue
		}
		if !s.visit(need) {
			ok = false
			continue
		}
		phase = max(phase, s.phases[need]+1)
	}
	s.path = s.path[:len(s.path)-1]
	if s.state[r] = done; !ok {
		s.state[r] = broken
	}
	s.phases[r] = phase
	return ok
}
