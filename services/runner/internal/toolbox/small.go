package toolbox

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// sleep takes numbers with an optional s, m, h or d and adds them up.
func sleep(ctx context.Context, inv tool.Invocation) int {
	if len(inv.Args) == 0 {
		fmt.Fprintln(inv.Stderr, "sleep: missing operand")
		return 1
	}
	var total time.Duration
	for _, arg := range inv.Args {
		d, err := sleepTime(arg)
		if err != nil {
			fmt.Fprintf(inv.Stderr, "sleep: invalid time interval '%s'\n", arg)
			return 1
		}
		total += d
	}
	t := time.NewTimer(total)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return 0
}

func sleepTime(s string) (time.Duration, error) {
	if s == "infinity" {
		return 1<<63 - 1, nil
	}
	unit := time.Second
	for suffix, u := range map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = number, u
			break
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0) || n > float64(1<<62)/float64(unit) {
		return 0, fmt.Errorf("interval %q", s)
	}
	return time.Duration(n * float64(unit)), nil
}
