package apply

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/services/runner/internal/apply/fields"
)

// maxMessage bounds what the API server, or a webhook through it, says.
const maxMessage = 2 << 10

// namespaceTerminating is the cause that the API server gives.
const namespaceTerminating metav1.CauseType = "NamespaceTerminating"

// explain says why an object could not be applied, where, and what to do.
func explain(err error, it *item) (Reason, string, string) {
	text := err.Error()
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return ReasonAPI, "", shorten(text) + "; it is tried again with the next run"
	}
	s := status.Status()
	text = message(s, it.ref)
	switch {
	case webhook(text):
		return ReasonWebhook, "", text + "; see the webhook named, or take it out of the way (kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations)"
	case len(fields.Conflicts(err)) > 0:
		return ReasonConflict, it.result.Conflicts[0].Field, "held by another manager: " + list(it.result.Conflicts) + "; remove them from the manifest, or leave them with an ignore rule"
	case strings.HasPrefix(s.Message, untyped):
		// Server-side apply says so of a field that the kind does not have.
		at, problem := undeclared(s.Message)
		if secret(it.ref) && problem != notDeclared {
			if problem = text; at != "" {
				problem = "its value is not of the field's type"
			}
		}
		return ReasonInvalid, at, shorten(problem)
	case hasCause(s, namespaceTerminating):
		return ReasonTerminating, "", "its namespace " + it.ref.Namespace + " is being deleted; wait for it, or see what it waits for: kubectl get namespace " + it.ref.Namespace + " -o yaml"
	case it.spared != "":
		return ReasonProtected, causePath(s), text + "; " + it.spared
	case it.live != nil && immutable(err):
		return ReasonImmutable, causePath(s), text + "; delete the object, or let the entry replace what cannot be changed"
	case apierrors.IsForbidden(err):
		return ReasonForbidden, "", text
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return ReasonInvalid, causePath(s), text
	case apierrors.IsNotFound(err) && it.ref.Namespace != "" && s.Details != nil && s.Details.Kind == "namespaces":
		return ReasonDependency, ".metadata.namespace", "namespace " + it.ref.Namespace + " does not exist; add it to the set, or make it first"
	}
	return ReasonAPI, "", text
}

// untyped begins what the API server says of a manifest that does not fit its
// kind, with the code of an internal error.
const untyped = "failed to create typed patch object"

// notDeclared is said there of a field that the kind does not have.
const notDeclared = "field not declared in schema"

// undeclared takes the field out of such a message:
// "... (ns/name; v1, Kind=ConfigMap): .dta: field not declared in schema".
func undeclared(text string) (field, problem string) {
	_, rest, ok := strings.Cut(text, "): ")
	if !ok {
		return "", text
	}
	at, problem, ok := strings.Cut(rest, ": ")
	if !ok || !strings.HasPrefix(at, ".") || strings.ContainsAny(at, " \n") {
		return "", rest
	}
	return at, problem
}

func shorten(text string) string {
	if text = strings.TrimSpace(text); len(text) > maxMessage {
		return strings.ToValidUTF8(text[:maxMessage], "") + "..."
	}
	return text
}

func list(changes []fields.Change) string {
	var parts []string
	for _, c := range changes {
		parts = append(parts, c.String())
	}
	return strings.Join(parts, ", ")
}

func webhook(text string) bool {
	return strings.Contains(text, "failed calling webhook") || strings.Contains(text, "admission webhook ")
}

func hasCause(s metav1.Status, t metav1.CauseType) bool {
	if s.Details == nil {
		return false
	}
	for _, c := range s.Details.Causes {
		if c.Type == t {
			return true
		}
	}
	return false
}

func causePath(s metav1.Status) string {
	if s.Details == nil {
		return ""
	}
	for _, c := range s.Details.Causes {
		if c.Field != "" && c.Field != "<nil>" {
			return "." + strings.TrimPrefix(c.Field, ".")
		}
	}
	return ""
}

// refusals are the words in which Kubernetes says that a field cannot be changed
// in place; there is no reason or cause for it.
var refusals = []string{"immutable", "may not change once set", "may not be changed", "cannot be changed", "cannot change roleRef", "updates to statefulset spec for fields other than"}

// immutable says whether an object is refused only because it exists with other
// values.
func immutable(err error) bool {
	if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
		return false
	}
	text := err.Error()
	for _, r := range refusals {
		if strings.Contains(text, r) {
			return !webhook(text)
		}
	}
	return false
}
