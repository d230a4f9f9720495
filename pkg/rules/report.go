package rules

import (
	"log/slog"
	"strings"
)

// Link is told whether there are rules to decide with.
type Link interface {
	Up()
	Down(why error)
}

// Reporter tells a Watcher's changes to a log, one line for each fault, and to a
// link, which is down only while nothing can be decided.
func Reporter(link Link, log *slog.Logger) func(*Set, error) {
	return func(set *Set, err error) {
		switch {
		case err == nil:
			log.Info("rules are in force", "rules", set.Len(), "revision", set.Revision)
			link.Up()
		case set != nil:
			logFaults(log, "the changed rules cannot be used; the last good ones stay in force", err)
		default:
			logFaults(log, "the rules cannot be used; nothing is let in until they are repaired", err)
			link.Down(ErrUnusable)
		}
	}
}

func logFaults(log *slog.Logger, message string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		log.Error(message, "error", line) //nolint:sloglint // its callers pass constants
	}
}
