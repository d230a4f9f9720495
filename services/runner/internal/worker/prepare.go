package worker

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/retry"
)

// How often and after what pause a job's process is tried to be had, as GitLab's
// runner does with its executors (runner-api sheet, section 10).
const (
	prepareTries = 3
	prepareAgain = 3 * time.Second
)

// prepared calls take until it succeeds, and says in the job's log when it did
// not.
func prepared[T any](ctx context.Context, log io.Writer, take func() (T, error)) (got T, err error) {
	for try := 1; ; try++ {
		if got, err = take(); err == nil || try == prepareTries {
			return got, err
		}
		_, _ = io.WriteString(log, joblines.Error("Preparation failed: "+joblines.Plain(err.Error()))+
			joblines.Info(fmt.Sprintf("Will be retried in %s ...", prepareAgain)))
		if !retry.Sleep(ctx, prepareAgain) {
			return got, err
		}
	}
}
