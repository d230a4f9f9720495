package decide

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
)

// begin chooses the namespace that a job's commands use unless they name
// another: the one of its environment or its variable, else the entry's, else
// the first that it may use. None of them widens anything.
func (d *decision) begin(entry agentconfig.Entry, e policyapi.Evidence) {
	if r := e.RequestedNamespace; r.Value != "" {
		switch {
		case len(validation.IsDNS1123Label(r.Value)) > 0:
			d.notice("%q (%s) is not the name of a namespace and is left out", bounded(r.Value), bounded(string(r.Source)))
		case !d.mayUse(r.Value):
			d.notice("the job asks for the namespace %q (%s), which is not among those it may use (%s); it is left out", r.Value, bounded(string(r.Source)), list(d.Namespaces))
		default:
			d.DefaultNamespace = r.Value
			return
		}
	}
	switch {
	case entry.DefaultNamespace != "" && d.mayUse(entry.DefaultNamespace):
		d.DefaultNamespace = entry.DefaultNamespace
		return
	case entry.DefaultNamespace != "":
		d.notice("default_namespace %q of %s is not among the namespaces that this job may use (%s) and is left out",
			entry.DefaultNamespace, entry, list(d.Namespaces))
	}
	if len(d.Namespaces) > 0 {
		d.DefaultNamespace = d.Namespaces[0]
	}
}

func (d *decision) mayUse(namespace string) bool {
	return len(d.Namespaces) == 0 || slices.Contains(d.Namespaces, namespace)
}
