package chart

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	kerrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// defineForeign teaches the server the kinds of other projects that the chart
// makes objects of, so that it validates them as a cluster with those would.
func (s *server) defineForeign(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "crds", "*.yaml"))
	if err != nil || len(files) < 7 {
		t.Fatalf("%d definitions, %v", len(files), err)
	}
	api := s.objects.Resource(definitions)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(text, &crd.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if _, err := api.Create(t.Context(), crd, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		t.Cleanup(func() { s.forget(t, crd.GetName()) })
	}
	for _, file := range files {
		s.waitForKind(t, file)
	}
	s.kinds.Reset()
}

// waitForKind returns when the server serves the kind of a definition.
func (s *server) waitForKind(t *testing.T, file string) {
	t.Helper()
	const within, every = 30 * time.Second, 50 * time.Millisecond
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Plural string }
			Versions []struct{ Name string }
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	kind := schema.GroupVersionResource{Group: crd.Spec.Group, Version: crd.Spec.Versions[0].Name, Resource: crd.Spec.Names.Plural}
	err = wait.PollUntilContextTimeout(t.Context(), every, within, true, func(ctx context.Context) (bool, error) {
		_, err := s.objects.Resource(kind).Namespace(s.namespace).List(ctx, metav1.ListOptions{})
		if kerrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		t.Fatalf("%s is not served: %v", kind, err)
	}
}

func (s *server) forget(t *testing.T, definition string) {
	t.Helper()
	if err := s.objects.Resource(definitions).Delete(context.Background(), definition, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}
