package apply

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/services/runner/internal/apply/objref"
)

func secret(ref objref.Ref) bool { return ref.Group == "" && ref.Kind == "Secret" }

// checkSecret finds values of a Secret that the API server would refuse and
// repeat in what it says.
func (r *run) checkSecret(it *item) bool {
	ok := true
	for _, field := range []string{"data", "stringData"} {
		have := it.object.Body.Object[field]
		values, isMap := have.(map[string]any)
		if have != nil && !isMap {
			r.fault(&it.object, "."+field, "not a list of keys and values", "write "+field+": {key: \"value\"}")
			ok = false
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if problem, remedy := wrongValue(field, values[key]); problem != "" {
				r.fault(&it.object, "."+field+"."+key, problem, remedy)
				ok = false
			}
		}
	}
	return ok
}

// wrongValue says what is wrong with a value of a Secret, without the value.
func wrongValue(field string, value any) (problem, remedy string) {
	switch v := value.(type) {
	case nil:
		return "", ""
	case string:
		if _, err := base64.StdEncoding.DecodeString(v); field == "data" && err != nil {
			return "its value is not base64", "encode it, or put it into stringData as it is"
		}
		return "", ""
	case bool:
		return "its value is true or false, not a text", "put it into quotes"
	case map[string]any, []any:
		return "its value is not a text", "write the text itself"
	default:
		return "its value is a number, not a text", "put it into quotes"
	}
}

// harmless are the refusals of a Secret in which the API server does not repeat
// values.
var harmless = []metav1.StatusReason{
	metav1.StatusReasonUnauthorized, metav1.StatusReasonForbidden, metav1.StatusReasonNotFound, metav1.StatusReasonAlreadyExists, metav1.StatusReasonConflict,
	metav1.StatusReasonGone, metav1.StatusReasonTimeout, metav1.StatusReasonServerTimeout, metav1.StatusReasonTooManyRequests,
	metav1.StatusReasonServiceUnavailable, metav1.StatusReasonRequestEntityTooLarge, metav1.StatusReasonMethodNotAllowed,
}

// message is what the API server says of an object, without the values of a
// Secret.
func message(s metav1.Status, ref objref.Ref) string {
	switch {
	case !secret(ref) || webhook(s.Message) && !strings.HasPrefix(s.Message, untyped) || slices.Contains(harmless, s.Reason):
		return shorten(s.Message)
	case s.Reason == metav1.StatusReasonInvalid && s.Details != nil:
		text := "the API server refuses it: "
		for i, c := range s.Details.Causes {
			if i > 0 {
				text += ", "
			}
			text += c.Field + ": " + string(c.Type)
		}
		return shorten(text)
	}
	return fmt.Sprintf("the API server refuses it (%s); what it says is left out, for it may hold values of the Secret", cmp.Or(string(s.Reason), fmt.Sprint(s.Code)))
}
