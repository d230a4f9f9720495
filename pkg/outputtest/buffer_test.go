package outputtest_test

import (
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/towline/towline/pkg/outputtest"
)

func TestSeveralWriteWhileOneReads(t *testing.T) {
	const writers, each = 8, 100
	var b outputtest.Buffer
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if _, err := io.WriteString(&b, "line\n"); err != nil {
					t.Error(err)
				}
				if got := b.String(); strings.Trim(got, "line\n") != "" || len(got) > b.Len() {
					t.Errorf("%q", got)
				}
			}
		})
	}
	wg.Wait()
	if got := b.String(); got != strings.Repeat("line\n", writers*each) || b.Len() != len(got) {
		t.Errorf("%d bytes: %.40q", b.Len(), got)
	}
}
