package filewatch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/filewatch"
)

func TestRunLooksAtOnceAndThenEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 3*filewatch.Interval+time.Millisecond)
		defer stop()
		begun := time.Now()
		var at []time.Duration
		if err := filewatch.Run(ctx, func() { at = append(at, time.Since(begun)) }); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]time.Duration{0, filewatch.Interval, 2 * filewatch.Interval, 3 * filewatch.Interval}, at); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLastIsTheLastGood(t *testing.T) {
	errBad := errors.New("bad")
	var last filewatch.Last[string]
	var parsed int
	for _, step := range []struct {
		content, value string
		err            error
		news           bool
	}{
		{"bad 1", "", errBad, true},
		{"bad 1", "", errBad, false},
		{"one", "ONE", nil, true},
		{"one", "ONE", nil, false},
		{"bad 2", "ONE", errBad, true},
		{"bad 3", "ONE", errBad, true},
		{"one", "ONE", nil, true},
		{"two", "TWO", nil, true},
	} {
		before, told := parsed, false
		known := ""
		last.Look(func(seen string) (string, func() (string, error)) {
			known = seen
			return step.content, func() (string, error) {
				parsed++
				if strings.HasPrefix(step.content, "bad") {
					return "half a value", errBad
				}
				return strings.ToUpper(step.content), nil
			}
		}, func(value string, err error) {
			told = true
			if now, why := last.Get(); now != value || !errors.Is(why, err) {
				t.Errorf("%s: told %q, %v; Get says %q, %v", step.content, value, err, now, why)
			}
		})
		if value, err := last.Get(); value != step.value || !errors.Is(err, step.err) {
			t.Errorf("%s: %q, %v; want %q, %v", step.content, value, err, step.value, step.err)
		}
		if told != step.news || parsed > before != step.news || (known == step.content) == step.news {
			t.Errorf("%s: told %v, parsed %d times, known %q; news %v", step.content, told, parsed-before, known, step.news)
		}
	}
}
