// Package attempts repeats a stage of a job as often as one of the job's
// variables says (runner-api sheet, section 10).
//
// The stages of sources, cache and artifacts use it. It decides nothing about
// which failures are worth another attempt: all are.
package attempts

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/towline/towline/pkg/retry"
)

// Bounds of the number of attempts and of the pauses between them.
const (
	least        = 1
	most         = 10
	firstBackoff = 5 * time.Second
	maxBackoff   = 5 * time.Minute
)

// Stage is what is repeated.
type Stage struct {
	Variable string // for example GET_SOURCES_ATTEMPTS
	Value    string // what the job says
	Warn     func(text string)
	Try      func(ctx context.Context) error
	// Failed is told of an attempt that is followed by another; its error ends
	// the stage.
	Failed func(err error) error
}

// Number is how often the stage may be tried.
func (s *Stage) Number() int {
	if s.Value == "" {
		return least
	}
	n, err := strconv.Atoi(s.Value)
	if err != nil || n < least || n > most {
		s.Warn(fmt.Sprintf("%s: number of attempts out of the range [%d, %d], using the nearest", s.Variable, least, most))
	}
	return min(max(n, least), most)
}

// Do tries until an attempt succeeds, the attempts are used up or ctx ends, and
// returns the last error.
func (s *Stage) Do(ctx context.Context) error {
	number, pause := s.Number(), firstBackoff
	for n := 1; ; n++ {
		err := s.Try(ctx)
		if err == nil || n == number || ctx.Err() != nil {
			return err
		}
		s.Warn(fmt.Sprintf("Retrying in %s (attempt %d of %d)", pause, n+1, number))
		if !retry.Sleep(ctx, pause) {
			return context.Cause(ctx)
		}
		pause = min(2*pause, maxBackoff)
		if err := s.Failed(err); err != nil {
			return err
		}
	}
}
