package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/library"
)

// Limits on values.
const (
	maxValues      = 4 << 20 // bytes of one source, and of all merged as JSON
	maxValuesDepth = 100
	defaultKey     = "values.yaml"
)

// mergeValues reads all sources and merges them in order.
func (r *run) mergeValues(ctx context.Context) (map[string]any, error) {
	merged := map[string]any{}
	r.confidential = map[string]any{}
	for i := range r.spec.Values {
		v := &r.spec.Values[i]
		values, err := r.source(ctx, v)
		if err != nil {
			return nil, r.spec.fault(v.Source, "%s", r.secrets.hide(err.Error()))
		}
		if v.Secret != nil || v.Confidential {
			r.secrets.learn(values)
			r.confidential = library.Overlay(r.confidential, values)
		}
		merged = library.Overlay(merged, values)
	}
	text, err := json.Marshal(merged)
	if err != nil {
		return nil, r.spec.fault("values", "%v", err)
	}
	if len(text) > maxValues {
		return nil, fmt.Errorf("release %s: values: %w: more than %d MiB together", r.spec.ID(), ErrLimit, maxValues>>20)
	}
	// A copy of our own: the library writes into values.
	copied := map[string]any{}
	return copied, json.Unmarshal(text, &copied)
}

// source reads one source.
func (r *run) source(ctx context.Context, v *Values) (map[string]any, error) {
	switch {
	case v.Inline != nil:
		return v.Inline, checkDepth(v.Inline, 0)
	case v.Text != nil:
		return parseValues(v.Text)
	}
	ref, text, err := r.reference(ctx, v)
	if err != nil || text == nil {
		return nil, err
	}
	if v.Secret != nil {
		r.secrets.learn(string(text)) // before anything can fail and quote it
	}
	if ref.Target == "" {
		values, err := parseValues(text)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", ref.key(), err)
		}
		return values, nil
	}
	return nest(ref.Target, string(text))
}

func (r *Reference) key() string {
	if r.Key == "" {
		return defaultKey
	}
	return r.Key
}

// reference reads the key of a ConfigMap or a Secret; nil is nothing, which an
// optional source may be.
func (r *run) reference(ctx context.Context, v *Values) (*Reference, []byte, error) {
	client, err := kubernetes.NewForConfig(r.conn.config)
	if err != nil {
		return nil, nil, err
	}
	ref, kind := v.ConfigMap, "ConfigMap"
	var data map[string][]byte
	if v.Secret != nil {
		ref, kind = v.Secret, "Secret"
		object, getErr := client.CoreV1().Secrets(r.spec.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		data, err = object.Data, getErr
	} else {
		object, getErr := client.CoreV1().ConfigMaps(r.spec.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		data, err = map[string][]byte{}, getErr
		for key, text := range object.Data {
			data[key] = []byte(text)
		}
	}
	if err != nil {
		if ref.Optional && apierrors.IsNotFound(err) {
			return ref, nil, nil
		}
		return nil, nil, fmt.Errorf("%s %s/%s: %w", kind, r.spec.Namespace, ref.Name, err)
	}
	text, ok := data[ref.key()]
	if !ok && !ref.Optional {
		return nil, nil, fmt.Errorf("%s %s/%s has no key %s", kind, r.spec.Namespace, ref.Name, ref.key())
	}
	return ref, text, nil
}

// parseValues reads YAML or JSON as Helm does.
func parseValues(text []byte) (map[string]any, error) {
	if len(text) > maxValues {
		return nil, fmt.Errorf("%w: more than %d MiB", ErrLimit, maxValues>>20)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		if typed := new(json.UnmarshalTypeError); errors.As(err, &typed) {
			return nil, fmt.Errorf("values are a map of keys, not a %s", typed.Value)
		}
		return nil, err
	}
	return values, checkDepth(values, 0)
}

// checkDepth bounds what later recursion meets.
func checkDepth(value any, depth int) error {
	if depth > maxValuesDepth {
		return fmt.Errorf("%w: values are more than %d levels deep", ErrLimit, maxValuesDepth)
	}
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			if err := checkDepth(inner, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, inner := range v {
			if err := checkDepth(inner, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// nest puts text where a dotted path leads; \. is a dot in a key.
func nest(target, text string) (map[string]any, error) {
	const dot = "\x00"
	parts := strings.Split(strings.ReplaceAll(target, `\.`, dot), ".")
	if len(parts) > maxValuesDepth {
		return nil, fmt.Errorf("%w: the target is more than %d levels deep", ErrLimit, maxValuesDepth)
	}
	var value any = text
	for i := len(parts) - 1; i >= 0; i-- {
		if parts[i] == "" {
			return nil, fmt.Errorf("%q is no path of keys like ingress.host", target)
		}
		value = map[string]any{strings.ReplaceAll(parts[i], dot, "."): value}
	}
	return value.(map[string]any), nil
}
