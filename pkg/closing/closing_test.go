package closing_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/closing"
)

var errClose = errors.New("broken")

type body struct {
	io.Reader
	closed func()
}

func (b body) Close() error {
	b.closed()
	return errClose
}

func TestThen(t *testing.T) {
	var order []string
	note := func(what string) func() { return func() { order = append(order, what) } }
	c := closing.Then(body{strings.NewReader("text"), note("closed")}, note("done"))
	if text, err := io.ReadAll(c); err != nil || string(text) != "text" || len(order) > 0 {
		t.Fatalf("%q, %v; %q", text, err, order)
	}
	if err := c.Close(); !errors.Is(err, errClose) {
		t.Errorf("Close = %v, want the body's own error", err)
	}
	if want := []string{"closed", "done"}; !slices.Equal(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
}
