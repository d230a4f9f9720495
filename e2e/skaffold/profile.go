package skaffold

import (
	"fmt"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch"
	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"
)

// With returns the file as the given profiles change it, one after the other.
func (c *Config) With(profiles ...string) (*Config, error) {
	for _, name := range profiles {
		i := slices.IndexFunc(c.Profiles, func(p Profile) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("skaffold.yaml: there is no profile %s", name)
		}
		var err error
		if c, err = c.patched(c.Profiles[i]); err != nil {
			return nil, fmt.Errorf("profile %s: %w", name, err)
		}
	}
	return c, nil
}

func (c *Config) patched(p Profile) (*Config, error) {
	before, err := toJSON(c)
	if err != nil {
		return nil, err
	}
	var all jsonpatch.Patch
	for _, one := range p.Patches {
		// Skaffold's paths look like JSON pointers, but know no escapes, and = has
		// a meaning of its own there.
		if strings.ContainsAny(one.Path, "~=") {
			return nil, fmt.Errorf("%s: ~ and = mean something else to skaffold than to a JSON patch", one.Path)
		}
		steps := []Patch{one}
		if one.Op == "replace" { // which the library does even where there is nothing
			steps = []Patch{{Op: "remove", Path: one.Path}, {Op: "add", Path: one.Path, Value: one.Value}}
		}
		raw, err := toJSON(steps)
		if err != nil {
			return nil, err
		}
		patch, err := jsonpatch.DecodePatch(raw)
		if err != nil {
			return nil, err
		}
		// Skaffold tries each patch alone beforehand.
		if _, err := patch.Apply(before); err != nil {
			return nil, fmt.Errorf("%s %s: %w", one.Op, one.Path, err)
		}
		all = append(all, patch...)
	}
	after, err := all.Apply(before)
	if err != nil {
		return nil, err
	}
	return parse(after) // JSON is YAML
}

func toJSON(v any) ([]byte, error) {
	raw, err := yaml.Marshal(v)
	if err != nil {
		return nil, err
	}
	return k8syaml.YAMLToJSON(raw)
}
