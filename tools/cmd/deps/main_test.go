package main

import (
	"slices"
	"testing"
)

func TestThirdParty(t *testing.T) {
	got := thirdParty("golang.org/x/net\n\ngithub.com/towline/towline/pkg\ngithub.com/gin-gonic/gin\ngolang.org/x/net\n")
	if want := []string{"github.com/gin-gonic/gin", "golang.org/x/net"}; !slices.Equal(got, want) {
		t.Errorf("thirdParty = %v, want %v", got, want)
	}
}

func TestDifference(t *testing.T) {
	if d := difference([]string{"a", "b"}, []string{"a", "b"}); d != "" {
		t.Errorf("difference of equal lists = %q", d)
	}
	if got, want := difference([]string{"a", "b"}, []string{"b", "c"}), "  - a\n  + c\n"; got != want {
		t.Errorf("difference = %q, want %q", got, want)
	}
}
