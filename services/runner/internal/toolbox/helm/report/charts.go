package report

import (
	"fmt"
	"io"

	"github.com/gosuri/uitable"
	"helm.sh/helm/v3/pkg/cli/output"
	"helm.sh/helm/v3/pkg/repo"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/search"
)

type repositoryRow struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// Repositories writes repositories in the three formats.
type Repositories []repositoryRow

// NewRepositories keeps the order of entries.
func NewRepositories(entries []*repo.Entry) Repositories {
	rows := Repositories{} // an empty list, not null
	for _, e := range entries {
		rows = append(rows, repositoryRow{e.Name, e.URL})
	}
	return rows
}

// WriteTable implements output.Writer.
func (t Repositories) WriteTable(out io.Writer) error {
	table := uitable.New()
	table.AddRow("NAME", "URL")
	for _, r := range t {
		table.AddRow(r.Name, r.URL)
	}
	return output.EncodeTable(out, table)
}

// WriteJSON implements output.Writer.
func (t Repositories) WriteJSON(out io.Writer) error { return output.EncodeJSON(out, t) }

// WriteYAML implements output.Writer.
func (t Repositories) WriteYAML(out io.Writer) error { return output.EncodeYAML(out, t) }

type chartRow struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	AppVersion  string `json:"app_version"`
	Description string `json:"description"`
}

// Charts writes what a search found in the three formats.
type Charts struct {
	rows  []chartRow
	width uint
}

// NewCharts keeps the order of charts; no column of the table is wider than
// width.
func NewCharts(charts []search.Chart, width uint) Charts {
	rows := make([]chartRow, 0, len(charts)) // an empty list, not null
	for _, ch := range charts {
		rows = append(rows, chartRow{ch.Name, ch.Version.Version, ch.Version.AppVersion, ch.Version.Description})
	}
	return Charts{rows, width}
}

// WriteTable implements output.Writer.
func (t Charts) WriteTable(out io.Writer) error {
	if len(t.rows) == 0 {
		_, err := fmt.Fprintln(out, "No results found")
		return err
	}
	table := uitable.New()
	table.MaxColWidth = t.width
	table.AddRow("NAME", "CHART VERSION", "APP VERSION", "DESCRIPTION")
	for _, r := range t.rows {
		table.AddRow(r.Name, r.Version, r.AppVersion, r.Description)
	}
	return output.EncodeTable(out, table)
}

// WriteJSON implements output.Writer.
func (t Charts) WriteJSON(out io.Writer) error { return output.EncodeJSON(out, t.rows) }

// WriteYAML implements output.Writer.
func (t Charts) WriteYAML(out io.Writer) error { return output.EncodeYAML(out, t.rows) }
