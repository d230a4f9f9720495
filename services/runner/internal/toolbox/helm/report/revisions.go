package report

import (
	"io"
	"time"

	"github.com/gosuri/uitable"
	"helm.sh/helm/v3/pkg/cli/output"
	"helm.sh/helm/v3/pkg/release"
	helmtime "helm.sh/helm/v3/pkg/time"
)

type revisionRow struct {
	Revision    int           `json:"revision"`
	Updated     helmtime.Time `json:"updated"`
	Status      string        `json:"status"`
	Chart       string        `json:"chart"`
	AppVersion  string        `json:"app_version"`
	Description string        `json:"description"`
}

// Revisions writes revisions of a release in the three formats.
type Revisions []revisionRow

// NewRevisions keeps the order of revisions.
func NewRevisions(revisions []*release.Release) Revisions {
	rows := Revisions{} // an empty list, not null
	for _, r := range revisions {
		rows = append(rows, revisionRow{
			Revision: r.Version, Updated: r.Info.LastDeployed, Status: r.Info.Status.String(),
			Chart: chartName(r.Chart), AppVersion: appVersion(r.Chart), Description: r.Info.Description,
		})
	}
	return rows
}

// WriteTable implements output.Writer.
func (t Revisions) WriteTable(out io.Writer) error {
	table := uitable.New()
	table.AddRow("REVISION", "UPDATED", "STATUS", "CHART", "APP VERSION", "DESCRIPTION")
	for _, r := range t {
		table.AddRow(r.Revision, r.Updated.Format(time.ANSIC), r.Status, r.Chart, r.AppVersion, r.Description)
	}
	return output.EncodeTable(out, table)
}

// WriteJSON implements output.Writer.
func (t Revisions) WriteJSON(out io.Writer) error { return output.EncodeJSON(out, t) }

// WriteYAML implements output.Writer.
func (t Revisions) WriteYAML(out io.Writer) error { return output.EncodeYAML(out, t) }
