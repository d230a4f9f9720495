package helm

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/library"
)

// valueFlags are the flags that set values of a chart. They stand in for those
// of the library, which read standard input and the directory of the process.
type valueFlags struct {
	files, json, set, strings, fromFiles, literals []string
}

func (v *valueFlags) addFlags(fs *pflag.FlagSet) {
	fs.StringSliceVarP(&v.files, "values", "f", nil, "specify values in a YAML file or a URL (can specify multiple)")
	fs.StringArrayVar(&v.set, "set", nil, "set values (can specify multiple or separate values with commas: key1=val1,key2=val2)")
	fs.StringArrayVar(&v.strings, "set-string", nil, "set STRING values (can specify multiple or separate values with commas: key1=val1,key2=val2)")
	fs.StringArrayVar(&v.fromFiles, "set-file", nil, "set values from files (can specify multiple or separate values with commas: key1=path1,key2=path2)")
	fs.StringArrayVar(&v.json, "set-json", nil, "set JSON values (can specify multiple or separate values with commas: key1=jsonval1,key2=jsonval2)")
	fs.StringArrayVar(&v.literals, "set-literal", nil, "set a literal STRING value")
}

// merge computes the values in helm's order: files, --set-json, --set,
// --set-string, --set-file, --set-literal.
func (c *command) merge(v *valueFlags) (map[string]any, error) {
	merged := map[string]any{}
	for _, name := range v.files {
		text, err := c.readValues(name)
		if err != nil {
			return nil, err
		}
		values := map[string]any{}
		if err := yaml.Unmarshal(text, &values); err != nil {
			return nil, fmt.Errorf("failed to parse %s: %w", name, err)
		}
		merged = library.Overlay(merged, values)
	}
	for _, text := range v.json {
		if err := strvals.ParseJSON(text, merged); err != nil {
			return nil, fmt.Errorf("failed parsing --set-json data %s", text)
		}
	}
	fromFile := func(name []rune) (any, error) {
		text, err := c.readValues(string(name))
		return string(text), err
	}
	for _, step := range []struct {
		flag  string
		given []string
		parse func(string, map[string]any) error
	}{
		{"--set", v.set, strvals.ParseInto},
		{"--set-string", v.strings, strvals.ParseIntoString},
		{"--set-file", v.fromFiles, func(text string, into map[string]any) error {
			return strvals.ParseIntoFile(text, into, fromFile)
		}},
		{"--set-literal", v.literals, strvals.ParseLiteralInto},
	} {
		for _, text := range step.given {
			if err := step.parse(text, merged); err != nil {
				return nil, fmt.Errorf("failed parsing %s data: %w", step.flag, err)
			}
		}
	}
	return merged, nil
}

// readValues reads a file, a URL, or standard input for "-".
func (c *command) readValues(name string) ([]byte, error) {
	if strings.TrimSpace(name) == "-" {
		return c.stdin()
	}
	u, err := url.Parse(name)
	if err != nil {
		return nil, err
	}
	if g, err := getter.Getters().ByScheme(u.Scheme); err == nil {
		data, err := g.Get(name, getter.WithURL(name))
		if err != nil {
			return nil, err
		}
		return data.Bytes(), nil
	}
	text, err := os.ReadFile(c.inv.Path(name))
	if pathErr := new(fs.PathError); errors.As(err, &pathErr) {
		pathErr.Path = name // as the script wrote it
	}
	return text, err
}
