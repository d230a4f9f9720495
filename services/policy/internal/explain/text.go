package explain

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/towline/towline/services/policy/internal/records"
)

// shortRevision is how much of a revision people compare.
const shortRevision = 12

func (s Source) String() string {
	if s.File == "" {
		return "none is known"
	}
	text := s.File
	if s.Towline != "" {
		text += " and " + s.Towline
	}
	return fmt.Sprintf("%s\n  from %s, revision %.*s", text, s.From, shortRevision, s.Revision)
}

func heading(w io.Writer, title string) { fmt.Fprintf(w, "\n%s\n", title) }

func bullets(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	heading(w, title)
	for _, l := range lines {
		fmt.Fprintf(w, "  - %s\n", l)
	}
}

func (q Question) String() string {
	ref := "branch " + q.Ref
	if q.Tag != "" {
		ref = "tag " + q.Tag
	}
	if q.Protected {
		ref += " (protected)"
	} else {
		ref += " (not protected)"
	}
	env := "no environment"
	if q.Environment != "" {
		env = fmt.Sprintf("environment %s (%s)", q.Environment, q.tier())
	}
	return fmt.Sprintf("A job of %s, %s, %s, run by %s (%s)", q.Project, ref, env, q.user(), q.role())
}

// Text writes the answer for people.
func (a *Answer) Text(out io.Writer) {
	var w strings.Builder
	fmt.Fprintf(&w, "%s\n", a.Question)
	d := a.Decision
	verdict(&w, d.Allow, d.Rule)
	if d.Allow {
		fmt.Fprintf(&w, "\n  acts as     %s (%s)\n", d.Identity.User, d.Identity.Mode)
		for i, g := range d.Identity.Groups {
			fmt.Fprintf(&w, "  %-11s %s\n", label(i, "in groups"), g)
		}
		fmt.Fprintf(&w, "  namespaces  %s\n", namespaces(d.Namespaces, d.DefaultNamespace))
	}
	bullets(&w, "Why", d.Reasons)
	if d.Remedy != "" {
		bullets(&w, "What to do", []string{d.Remedy})
	}
	bullets(&w, "To know", d.Notices)
	heading(&w, "Configuration")
	fmt.Fprintf(&w, "  %s\n", a.Config)
	fmt.Fprint(out, named(a.Question.Project).Replace(w.String()))
}

func label(i int, text string) string {
	if i > 0 {
		return ""
	}
	return text
}

func verdict(w io.Writer, allow bool, rule string) {
	if allow {
		fmt.Fprintf(w, "\nLet in by %s\n", rule)
		return
	}
	fmt.Fprintf(w, "\nRefused by %s\n", rule)
}

func namespaces(list []string, begin string) string {
	text := "all that RBAC allows"
	if len(list) > 0 {
		text = strings.Join(list, ", ")
	}
	if begin != "" {
		text += "; begins in " + begin
	}
	return text
}

// RecordText writes a decision that was made.
func RecordText(w io.Writer, r records.Record) {
	ref := "ref not known"
	if r.Ref != "" {
		ref = strings.TrimSpace(r.RefType + " " + r.Ref)
	}
	if r.RefProtected {
		ref += " (protected)"
	}
	env := "no environment"
	if r.Environment != "" {
		env = "environment " + r.Environment
	}
	fmt.Fprintf(w, "Job %d of %s, %s, %s, run by %s\n", r.JobID, r.Project, ref, env, who(r))
	fmt.Fprintf(w, "Decided %s, configuration %.*s\n", r.Time.UTC().Format(time.RFC3339), shortRevision, r.ConfigRevision)
	verdict(w, r.Allow, r.Rule)
	if r.Allow {
		fmt.Fprintf(w, "\n  acts as     %s (%s)\n  namespaces  %s\n", r.IdentityUser, r.IdentityMode, namespaces(r.Namespaces, r.DefaultNamespace))
	}
	bullets(w, "Why", r.Reasons)
	if r.Remedy != "" {
		bullets(w, "What to do", []string{r.Remedy})
	}
	bullets(w, "To know", r.Notices)
}

// Text writes the overview for people.
func (o *Overview) Text(out io.Writer) {
	fmt.Fprintln(out, "Settings")
	columns(out, func(row func(...string)) {
		for _, s := range o.Settings {
			value, origin := s.Value, s.Origin
			if value == "" {
				value = "-"
			}
			if origin == "" {
				origin = "default"
			}
			row(s.Name, value, origin)
		}
	})
	heading(out, "Configuration")
	fmt.Fprintf(out, "  %s\n", o.Config)
	if o.Config.File == "" && o.Fault == "" {
		fmt.Fprintln(out, "  The tunnel sends it with the first job that this replica decides about.")
	}
	if o.Fault != "" {
		bullets(out, "It cannot be used", strings.Split(o.Fault, "\n"))
	}
	bullets(out, "The newest version is not in force", o.Config.Faults)
	table(out, "Who is let in (the first that fits; nothing is merged)", o.Entries)
	table(out, "What narrows it (all that fit)", o.Refine)
	bullets(out, "Rules of the cluster's owner", o.Rules)
}

func table(out io.Writer, title string, entries []Entry) {
	if len(entries) == 0 {
		return
	}
	heading(out, title)
	columns(out, func(row func(...string)) {
		for _, e := range entries {
			row(e.Place, e.For, e.Says)
		}
	})
}

func columns(out io.Writer, fill func(row func(...string))) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fill(func(cells ...string) { fmt.Fprintf(w, "  %s\n", strings.Join(cells, "\t")) })
	_ = w.Flush() // to a terminal: nobody is left to tell
}

func who(r records.Record) string {
	name := r.Username
	if name == "" {
		name = fmt.Sprintf("user %d", r.UserID)
	}
	if r.ScopedUserID != 0 {
		name += fmt.Sprintf(" for user %d", r.ScopedUserID)
	}
	return name
}
