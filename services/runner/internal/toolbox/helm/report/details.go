package report

import (
	"fmt"
	"io"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/cli/output"
	"k8s.io/apimachinery/pkg/labels"
)

// Metadata writes what is known of a release in the three formats.
type Metadata struct{ *action.Metadata }

// WriteTable implements output.Writer.
func (m Metadata) WriteTable(out io.Writer) error {
	fmt.Fprintf(out, "NAME: %v\nCHART: %v\nVERSION: %v\nAPP_VERSION: %v\n", m.Name, m.Chart, m.Version, m.AppVersion)
	fmt.Fprintf(out, "ANNOTATIONS: %v\nDEPENDENCIES: %v\n", labels.Set(m.Annotations), m.FormattedDepNames())
	fmt.Fprintf(out, "NAMESPACE: %v\nREVISION: %v\nSTATUS: %v\nDEPLOYED_AT: %v\n", m.Namespace, m.Revision, m.Status, m.DeployedAt)
	return nil
}

// WriteJSON implements output.Writer.
func (m Metadata) WriteJSON(out io.Writer) error { return output.EncodeJSON(out, m.Metadata) }

// WriteYAML implements output.Writer.
func (m Metadata) WriteYAML(out io.Writer) error { return output.EncodeYAML(out, m.Metadata) }

// Values writes the values of a release in the three formats.
type Values struct {
	Values   map[string]any
	Computed bool // with those of the chart
}

// WriteTable implements output.Writer.
func (v Values) WriteTable(out io.Writer) error {
	title := "USER-SUPPLIED VALUES:"
	if v.Computed {
		title = "COMPUTED VALUES:"
	}
	fmt.Fprintln(out, title)
	return output.EncodeYAML(out, v.Values)
}

// WriteJSON implements output.Writer.
func (v Values) WriteJSON(out io.Writer) error { return output.EncodeJSON(out, v.Values) }

// WriteYAML implements output.Writer.
func (v Values) WriteYAML(out io.Writer) error { return output.EncodeYAML(out, v.Values) }
