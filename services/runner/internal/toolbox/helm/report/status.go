package report

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/cli/output"
	"helm.sh/helm/v3/pkg/release"
	"k8s.io/kubectl/pkg/cmd/get"
)

// Status writes a release in the three formats.
type Status struct {
	Release     *release.Release
	Debug       bool // with values, hooks and manifest
	Description bool // with what was last done to it
	Resources   bool // with its objects, which the release must hold then
	Metadata    bool // with its chart
	HideNotes   bool
}

// WriteJSON implements output.Writer.
func (s Status) WriteJSON(out io.Writer) error { return output.EncodeJSON(out, s.Release) }

// WriteYAML implements output.Writer.
func (s Status) WriteYAML(out io.Writer) error { return output.EncodeYAML(out, s.Release) }

// WriteTable implements output.Writer.
func (s Status) WriteTable(out io.Writer) error {
	r := s.Release
	if r == nil {
		return nil
	}
	fmt.Fprintf(out, "NAME: %s\n", r.Name)
	if !r.Info.LastDeployed.IsZero() {
		fmt.Fprintf(out, "LAST DEPLOYED: %s\n", r.Info.LastDeployed.Format(time.ANSIC))
	}
	fmt.Fprintf(out, "NAMESPACE: %s\nSTATUS: %s\nREVISION: %d\n", r.Namespace, r.Info.Status, r.Version)
	if s.Metadata {
		m := r.Chart.Metadata
		fmt.Fprintf(out, "CHART: %s\nVERSION: %s\nAPP_VERSION: %s\n", m.Name, m.Version, m.AppVersion)
	}
	if s.Description {
		fmt.Fprintf(out, "DESCRIPTION: %s\n", r.Info.Description)
	}
	if s.Resources && len(r.Info.Resources) > 0 {
		s.writeResources(out)
	}
	s.writeTests(out)
	if s.Debug {
		if err := s.writeValues(out); err != nil {
			return err
		}
	}
	if s.Debug || strings.EqualFold(r.Info.Description, "Dry run complete") {
		fmt.Fprintln(out, "HOOKS:")
		for _, h := range r.Hooks {
			fmt.Fprintf(out, "---\n# Source: %s\n%s\n", h.Path, h.Manifest)
		}
		fmt.Fprintf(out, "MANIFEST:\n%s\n", r.Manifest)
	}
	if !s.HideNotes && r.Info.Notes != "" {
		fmt.Fprintf(out, "NOTES:\n%s\n", strings.TrimSpace(r.Info.Notes))
	}
	return nil
}

// writeResources shows the objects by kind; helm leaves the order of kinds to
// chance, here it is the alphabet's.
func (s Status) writeResources(out io.Writer) {
	var text bytes.Buffer
	plain, err := get.NewHumanPrintFlags().ToPrinter("")
	if err != nil {
		fmt.Fprintf(out, "RESOURCES:\n%v\n", err)
		return
	}
	table := &get.TablePrinter{Delegate: plain}
	for _, kind := range slices.Sorted(maps.Keys(s.Release.Info.Resources)) {
		fmt.Fprintf(&text, "==> %s\n", kind)
		for _, object := range s.Release.Info.Resources[kind] {
			if err := table.PrintObj(object, &text); err != nil {
				fmt.Fprintf(&text, "failed to print object type %s: %v\n", kind, err)
			}
		}
		text.WriteByte('\n')
	}
	fmt.Fprintf(out, "RESOURCES:\n%s\n", text.String())
}

func (s Status) writeTests(out io.Writer) {
	found := false
	for _, h := range s.Release.Hooks {
		if !slices.Contains(h.Events, release.HookTest) {
			continue
		}
		found = true
		if run := h.LastRun; !run.StartedAt.IsZero() {
			fmt.Fprintf(out, "TEST SUITE:     %s\nLast Started:   %s\nLast Completed: %s\nPhase:          %s\n",
				h.Name, run.StartedAt.Format(time.ANSIC), run.CompletedAt.Format(time.ANSIC), run.Phase)
		}
	}
	if !found {
		fmt.Fprintln(out, "TEST SUITE: None")
	}
}

func (s Status) writeValues(out io.Writer) error {
	fmt.Fprintln(out, "USER-SUPPLIED VALUES:")
	if err := output.EncodeYAML(out, s.Release.Config); err != nil {
		return err
	}
	computed, err := chartutil.CoalesceValues(s.Release.Chart, s.Release.Config)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "\nCOMPUTED VALUES:")
	if err := output.EncodeYAML(out, computed.AsMap()); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return nil
}
