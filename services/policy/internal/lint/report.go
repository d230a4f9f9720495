package lint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/pkg/codequality"
)

// Finding is a fault or a notice.
type Finding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Key      string `json:"key,omitempty"`
	Severity string `json:"severity"` // fault or notice
	Message  string `json:"message"`
}

// The severities of a Finding.
const (
	fault  = "fault"
	notice = "notice"
)

// report is what the JSON format holds.
type report struct {
	Faults   int       `json:"faults"`
	Notices  int       `json:"notices"`
	Files    []string  `json:"files"`
	Findings []Finding `json:"findings"`
}

func reportOf(r result) report {
	out := report{Faults: len(r.faults), Notices: len(r.notices), Files: r.files, Findings: []Finding{}}
	for _, f := range r.faults {
		message := f.Problem
		if f.Remedy != "" {
			message += "; " + f.Remedy
		}
		out.Findings = append(out.Findings, Finding{f.File, f.Line, f.Column, f.Key, fault, message})
	}
	for _, n := range r.notices {
		out.Findings = append(out.Findings, Finding{n.File, n.Line, n.Column, n.Key, notice, n.Text})
	}
	slices.SortStableFunc(out.Findings, func(a, b Finding) int {
		if a.File != b.File {
			return slices.Index(r.files, a.File) - slices.Index(r.files, b.File)
		}
		return a.Line - b.Line
	})
	return out
}

// formats are the forms of the report.
var formats = map[string]func(io.Writer, report) error{"text": text, "json": asJSON, "code-quality": codeQuality}

// text is one line for each finding, in the form that editors and terminals can
// jump to, and one for all.
func text(w io.Writer, r report) error {
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s:%d:%d: %s: %s\n", f.File, f.Line, f.Column, f.Severity, about(f))
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(w)
	}
	if r.Faults == 0 {
		fmt.Fprintf(w, "%s in order", counted(len(r.Files), "file"))
	} else {
		fmt.Fprintf(w, "%s in %s; Towline would keep the last good version in force", counted(r.Faults, "fault"), counted(len(r.Files), "file"))
	}
	if r.Notices > 0 {
		fmt.Fprintf(w, ", %s", counted(r.Notices, "notice"))
	}
	_, err := fmt.Fprintln(w)
	return err
}

func about(f Finding) string {
	if f.Key == "" {
		return f.Message
	}
	return f.Key + ": " + f.Message
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

func asJSON(w io.Writer, r report) error { return encode(w, r) }

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// codeQuality is the report that GitLab shows in merge requests. A finding keeps
// its fingerprint when lines move, so that only what is new counts as new.
func codeQuality(w io.Writer, r report) error {
	out := []codequality.Issue{}
	seen := map[string]int{}
	for _, f := range r.Findings {
		severity := codequality.Blocker
		if f.Severity == notice {
			severity = codequality.Info
		}
		path := strings.TrimPrefix(filepath.ToSlash(filepath.Clean(f.File)), "./")
		what := strings.Join([]string{path, f.Severity, f.Key, f.Message}, "\n")
		seen[what]++
		sum := sha256.Sum256([]byte(what + "\n" + strconv.Itoa(seen[what])))
		out = append(out, codequality.Issue{
			Description: about(f), CheckName: "towline-" + f.Severity, Fingerprint: hex.EncodeToString(sum[:]), Severity: severity,
			Location: codequality.Location{Path: path, Lines: codequality.Lines{Begin: f.Line}},
		})
	}
	return encode(w, out)
}
