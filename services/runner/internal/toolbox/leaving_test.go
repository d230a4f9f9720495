package toolbox

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestCommandMayFinishAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wrote := false
		code := leaving(ctx, func() int {
			time.Sleep(lastWords / 2)
			wrote = true
			return 3
		})
		if code != 3 || !wrote {
			t.Errorf("code %d, wrote %v", code, wrote)
		}
	})
}

func TestCommandThatDoesNotListenIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun, never := time.Now(), make(chan struct{})
		defer close(never)
		code := leaving(ctx, func() int {
			<-never
			return 0
		})
		if took := time.Since(begun); code != 1 || took != time.Second+lastWords {
			t.Errorf("code %d after %v", code, took)
		}
	})
}
