package rig

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// maxPrinted is how many lines of a service PrintLogs shows, the newest.
const maxPrinted = 300

// PrintLogs writes what the services have logged, a short line for each of
// theirs. Requests to Kubernetes that succeeded are left out.
func (r *Rig) PrintLogs(w io.Writer) {
	for _, s := range []*Service{r.Policy, r.Tunnel, r.Runner} {
		if s == nil {
			continue
		}
		lines := slices.DeleteFunc(s.Lines(), Line.dull)
		if n := len(lines) - maxPrinted; n > 0 {
			fmt.Fprintf(w, "%s: %d lines before these\n", s.Name, n)
			lines = lines[n:]
		}
		for _, l := range lines {
			fmt.Fprintf(w, "%s: %s\n", s.Name, l)
		}
	}
}

// dull says that the line is of a request that the API server has done.
func (l Line) dull() bool {
	code, ok := l["code"].(float64)
	return ok && l.Text("msg") == "kubernetes request" && code < 400
}

// String is the line with the clock, the level, the message and then what else
// it says, without the empty.
func (l Line) String() string {
	clock := l.Text("time")
	if _, after, ok := strings.Cut(clock, "T"); ok {
		clock = after[:min(len(after), len("15:04:05.000"))]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", clock, l.Text("level"), l.Text("msg"))
	for _, key := range slices.Sorted(maps.Keys(l)) {
		if value := l.Text(key); value != "" && !slices.Contains([]string{"time", "level", "msg", "service"}, key) {
			fmt.Fprintf(&b, " %s=%q", key, value)
		}
	}
	return b.String()
}
