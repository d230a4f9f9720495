package skaffold

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Objects are those of the plain manifests, in their order, with the images that
// were built in place of their names.
func (c *Config) Objects(root string, images map[string]string) ([]*unstructured.Unstructured, error) {
	if c.Manifests == nil {
		return nil, nil
	}
	var all []*unstructured.Unstructured
	for _, name := range c.Manifests.RawYAML {
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		objects, err := decode(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, o := range objects {
			replace(o.Object, images)
		}
		all = append(all, objects...)
	}
	return all, nil
}

func decode(raw []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		o := map[string]any{}
		if err := yaml.UnmarshalStrict(document, &o); err != nil {
			return nil, err
		}
		if len(o) > 0 {
			all = append(all, &unstructured.Unstructured{Object: o})
		}
	}
}

// replace puts images where a key image names one.
func replace(in any, images map[string]string) {
	switch in := in.(type) {
	case map[string]any:
		for key, value := range in {
			if name, ok := value.(string); ok && key == "image" && images[name] != "" {
				in[key] = images[name]
				continue
			}
			replace(value, images)
		}
	case []any:
		for _, value := range in {
			replace(value, images)
		}
	}
}
