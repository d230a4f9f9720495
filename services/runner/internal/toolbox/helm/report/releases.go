package report

import (
	"fmt"
	"io"
	"strconv"

	"github.com/gosuri/uitable"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/cli/output"
	"helm.sh/helm/v3/pkg/release"
)

// Names writes the names of releases, and nothing else, in the three formats.
type Names []*release.Release

func (n Names) list() []string {
	names := make([]string, 0, len(n)) // an empty list, not null
	for _, r := range n {
		names = append(names, r.Name)
	}
	return names
}

// WriteTable implements output.Writer.
func (n Names) WriteTable(out io.Writer) error {
	for _, name := range n.list() {
		fmt.Fprintln(out, name)
	}
	return nil
}

// WriteJSON implements output.Writer.
func (n Names) WriteJSON(out io.Writer) error { return output.EncodeJSON(out, n.list()) }

// WriteYAML implements output.Writer.
func (n Names) WriteYAML(out io.Writer) error { return output.EncodeYAML(out, n.list()) }

type releaseRow struct {
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	Revision   string `json:"revision"`
	Updated    string `json:"updated"`
	Status     string `json:"status"`
	Chart      string `json:"chart"`
	AppVersion string `json:"app_version"`
}

// Releases writes a list of releases in the three formats.
type Releases struct {
	rows      []releaseRow
	noHeaders bool
}

// NewReleases shows times in timeFormat, or in full if it is "".
func NewReleases(releases []*release.Release, timeFormat string, noHeaders bool) Releases {
	rows := make([]releaseRow, 0, len(releases)) // an empty list, not null
	for _, r := range releases {
		updated := "-"
		switch at := r.Info.LastDeployed; {
		case at.IsZero():
		case timeFormat != "":
			updated = at.Format(timeFormat)
		default:
			updated = at.String()
		}
		rows = append(rows, releaseRow{
			Name: r.Name, Namespace: r.Namespace, Revision: strconv.Itoa(r.Version), Updated: updated,
			Status: r.Info.Status.String(), Chart: chartName(r.Chart), AppVersion: appVersion(r.Chart),
		})
	}
	return Releases{rows, noHeaders}
}

// WriteTable implements output.Writer.
func (t Releases) WriteTable(out io.Writer) error {
	table := uitable.New()
	if !t.noHeaders {
		table.AddRow("NAME", "NAMESPACE", "REVISION", "UPDATED", "STATUS", "CHART", "APP VERSION")
	}
	for _, r := range t.rows {
		table.AddRow(r.Name, r.Namespace, r.Revision, r.Updated, r.Status, r.Chart, r.AppVersion)
	}
	return output.EncodeTable(out, table)
}

// WriteJSON implements output.Writer.
func (t Releases) WriteJSON(out io.Writer) error { return output.EncodeJSON(out, t.rows) }

// WriteYAML implements output.Writer.
func (t Releases) WriteYAML(out io.Writer) error { return output.EncodeYAML(out, t.rows) }

// unknownChart stands for the chart of a release that has lost it.
const unknownChart = "MISSING"

func chartName(ch *chart.Chart) string {
	if ch == nil || ch.Metadata == nil {
		return unknownChart
	}
	return ch.Name() + "-" + ch.Metadata.Version
}

func appVersion(ch *chart.Chart) string {
	if ch == nil || ch.Metadata == nil {
		return unknownChart
	}
	return ch.AppVersion()
}
