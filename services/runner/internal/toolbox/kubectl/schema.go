package kubectl

import (
	"encoding/json"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/kubectl/pkg/validation"
	"sigs.k8s.io/yaml"
)

// Validator implements cmdutil.Factory. Fields are validated by the server
// alone: every server that upstream's client side would accept does it, and the
// client would have to fetch and parse OpenAPI documents just to find out. What
// upstream says about an object without a kind is said here.
func (factory) Validator(directive string) (validation.Schema, error) {
	if directive == metav1.FieldValidationIgnore {
		return validation.NullSchema{}, nil
	}
	return kinded{}, nil
}

// kinded wants an object to say what it is.
type kinded struct{}

// ValidateBytes implements validation.Schema.
func (kinded) ValidateBytes(data []byte) error {
	var object *struct {
		APIVersion any `json:"apiVersion"`
		Kind       any `json:"kind"`
	}
	if json.Unmarshal(data, &object) != nil { // most are JSON by now
		if err := yaml.Unmarshal(data, &object); err != nil {
			return err
		}
	}
	if object == nil {
		return errors.New("invalid object to validate")
	}
	return utilerrors.NewAggregate(append(versionFaults(object.APIVersion), kindFaults(object.Kind)...))
}

func versionFaults(v any) []error {
	text, ok := v.(string)
	switch {
	case v == nil:
		return []error{errors.New("apiVersion not set")}
	case !ok:
		return []error{errors.New("apiVersion isn't string type")}
	}
	if _, err := schema.ParseGroupVersion(text); err != nil {
		return []error{err}
	}
	return nil
}

func kindFaults(v any) []error {
	_, ok := v.(string)
	switch {
	case v == nil:
		return []error{errors.New("kind not set")}
	case !ok:
		return []error{errors.New("kind isn't string type")}
	}
	return nil
}
