package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints tables and remembers the goals that were missed.
type report struct {
	out    io.Writer
	missed []string
}

// row is one line of a table; other is what it is compared with.
type row struct {
	way         string
	took, other time.Duration
}

// table prints times, and how they compare.
func (r *report) table(title string, rows []row) {
	fmt.Fprintf(r.out, "\n%s\n\n", title)
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "way\ttime\tratio\t")
	for _, l := range rows {
		fmt.Fprintf(w, "%s\t%.1f ms\t%.3f\t\n", l.way, float64(l.took.Microseconds())/1000, ratio(l.took, l.other))
	}
	_ = w.Flush()
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// atMost holds a figure to a goal.
func (r *report) atMost(what string, got, goal float64) {
	r.goal(what, fmt.Sprintf("at most %g", goal), got, got <= goal)
}

// atLeast holds a figure to a goal.
func (r *report) atLeast(what string, got, goal float64) {
	r.goal(what, fmt.Sprintf("at least %g", goal), got, got >= goal)
}

func (r *report) goal(what, goal string, got float64, met bool) {
	word := "met"
	if !met {
		word = "MISSED"
		r.missed = append(r.missed, what)
	}
	fmt.Fprintf(r.out, "%s: %.3f (%s: %s)\n", what, got, goal, word)
}

func (r *report) verdict() error {
	if len(r.missed) == 0 {
		fmt.Fprintln(r.out, "\nall goals met")
		return nil
	}
	return errors.New("goals missed: " + strings.Join(r.missed, "; "))
}
