package skaffold

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"helm.sh/helm/v3/pkg/strvals"
)

// notInNames is what stands in an image's name and not in a variable's.
var notInNames = regexp.MustCompile(`[^A-Za-z0-9]`)

// Values are those that Helm gets with --set, where the environment and the
// images that were built, with their tags, are the given ones.
func (r Release) Values(env, images map[string]string) (map[string]any, error) {
	known := maps.Clone(env)
	if known == nil {
		known = map[string]string{}
	}
	for name, image := range images {
		known["IMAGE_FULLY_QUALIFIED_"+notInNames.ReplaceAllString(name, "_")] = image
	}
	values := map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(r.SetValues)) {
		if err := strvals.ParseInto(fmt.Sprintf("%s=%v", path, r.SetValues[path]), values); err != nil {
			return nil, fmt.Errorf("setValues: %s: %w", path, err)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(r.SetValueTemplates)) {
		value, err := expand(r.SetValueTemplates[path], known)
		if err == nil {
			err = strvals.ParseInto(path+"="+value, values)
		}
		if err != nil {
			return nil, fmt.Errorf("setValueTemplates: %s: %w", path, err)
		}
	}
	return values, nil
}

// expand fills a template in; a variable that nobody has set is an error.
func expand(text string, known map[string]string) (string, error) {
	t, err := template.New("value").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = t.Execute(&out, known)
	return out.String(), err
}
