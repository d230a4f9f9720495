package main

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

const made = "<!-- Made from values.yaml by `make generate`. -->\n\n"

const readme = made + `# Towline

Deploys from GitLab into this cluster, outbound-only and through one policy: jobs that target the agent run inside the cluster, and nothing listens
to the outside.

` + "```" + `
kubectl create namespace towline
kubectl -n towline create secret generic gitlab --from-literal=runner-token=glrt-... --from-literal=config-token=glpat-...
helm install towline oci://registry.example.com/charts/towline --version 0.1.0 --namespace towline \
  --set image.repository=registry.example.com/towline \
  --set gitlab.url=https://gitlab.example.com --set agent=group/project:name \
  --set credentials.runner.existingSecret=gitlab --set credentials.config.existingSecret=gitlab
` + "```" + `

Images and chart are where your organisation has pushed them (` + "`make images chart`" + ` in the repository). The runner needs nodes with Linux 6.7 or newer.

Then ` + "`helm test towline -n towline --logs`" + ` tells what is connected and what is not.

## Values

`

const reference = made + `# Values of the chart

A key that is not here is refused when the chart is rendered, with the right name where there is one that is nearly the same.

`

// table lists every value with its default and its documentation.
func (v *value) table() string {
	var b strings.Builder
	b.WriteString("| value | default | |\n| --- | --- | --- |\n")
	v.rows(&b)
	return b.String()
}

func (v *value) rows(b *strings.Builder) {
	for _, c := range v.children {
		if len(c.children) == 0 {
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", c.path, c.byDefault(), cell(c.doc))
			continue
		}
		if c.doc != "" {
			fmt.Fprintf(b, "| **`%s`** | | %s |\n", c.path, cell(c.doc))
		}
		c.rows(b)
	}
}

// byDefault is the default in one line.
func (v *value) byDefault() string {
	n := *v.node
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	flow(&n)
	out, err := yaml.Marshal(&n)
	text := strings.TrimSpace(string(out))
	if err != nil || text == "" || text == `""` || text == "null" {
		return ""
	}
	return "`" + strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "\\|") + "`"
}

func flow(n *yaml.Node) {
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		n.Style = yaml.FlowStyle
	}
	for _, c := range n.Content {
		flow(c)
	}
}

// cell is documentation as one line of a table; what was indented is code.
func cell(doc string) string {
	var out []string
	for line := range strings.SplitSeq(doc, "\n") {
		if strings.HasPrefix(line, "  ") {
			line = "`" + strings.TrimSpace(line) + "`"
		}
		out = append(out, line)
	}
	return strings.ReplaceAll(strings.Join(out, " "), "|", "\\|")
}
