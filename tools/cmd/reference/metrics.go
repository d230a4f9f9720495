package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/tools/internal/repository"
)

// metric is one that a service has of its own.
type metric struct{ kind, help string }

// metricsPage reads the metrics of each service from its source: one without a
// value yet, with labels, is in no answer of /metrics.
func metricsPage(root string) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("# Metrics\n\nMade of the source. Each service answers `/metrics` on its `--listen`, with these and those of Go and of the process.\n")
	for _, service := range repository.Services {
		found := map[string]metric{}
		dir := filepath.Join(root, "services", service)
		err := repository.Walk(dir, func(path string) error {
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, path), nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			return collect(f, found)
		})
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("no metrics found in services/%s", service)
		}
		fmt.Fprintf(&out, "\n## %s\n\n| metric | kind | what it is |\n| --- | --- | --- |\n", service)
		for _, name := range slices.Sorted(maps.Keys(found)) {
			fmt.Fprintf(&out, "| `%s` | %s | %s |\n", name, found[name].kind, cell(found[name].help))
		}
	}
	return out.Bytes(), nil
}

// collect finds prometheus.XxxOpts{Name: "...", Help: "..."}.
func collect(f *ast.File, found map[string]metric) (err error) {
	ast.Inspect(f, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		of, ok := literal.Type.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"CounterOpts", "GaugeOpts", "HistogramOpts", "SummaryOpts"}, of.Sel.Name) {
			return true
		}
		name, help := field(literal, "Name"), field(literal, "Help")
		if name == "" || help == "" {
			err = fmt.Errorf("a metric in package %s has no literal name or help, so it cannot be listed", f.Name.Name)
			return false
		}
		found[name] = metric{strings.ToLower(strings.TrimSuffix(of.Sel.Name, "Opts")), help}
		return true
	})
	return err
}

// field is a string that a literal gives to a field, or "".
func field(literal *ast.CompositeLit, name string) string {
	for _, e := range literal.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, ok := kv.Key.(*ast.Ident)
		if !ok || key.Name != name {
			continue
		}
		if text, ok := kv.Value.(*ast.BasicLit); ok && text.Kind == token.STRING {
			s, err := strconv.Unquote(text.Value)
			if err == nil {
				return s
			}
		}
	}
	return ""
}
