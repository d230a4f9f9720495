package service

import (
	"fmt"
	"io"
	"log/slog"
)

// Keys of structured log lines. A line of a job always carries KeyJob.
const (
	KeyJob     = "job_id"
	KeyProject = "project"
	KeyError   = "error"
	KeyService = "service"
	KeyLink    = "link"
	KeyEntry   = "entry" // of gitops
)

// NewLogger writes structured lines in the given format (json or text) from
// the given level (debug, info, warn, error) on.
func NewLogger(out io.Writer, service, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level=%s: use debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	var h slog.Handler
	switch format {
	case "json":
		h = slog.NewJSONHandler(out, opts)
	case "text":
		h = slog.NewTextHandler(out, opts)
	default:
		return nil, fmt.Errorf("--log-format=%s: use json or text", format)
	}
	return slog.New(h).With(KeyService, service), nil
}

// JobID is the log attribute that names a job.
func JobID(id int64) slog.Attr { return slog.Int64(KeyJob, id) }

// Err is the log attribute of an error.
func Err(err error) slog.Attr { return slog.String(KeyError, err.Error()) }
