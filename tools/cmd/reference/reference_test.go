package main

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

const help = `Usage: policy [options]

Options, each with its environment variable:
  --a string  TOWLINE_A
      one | two (default x)
  --b  TOWLINE_B
      yes or no
  --c value  TOWLINE_C
      three
  --d int  TOWLINE_D
      four
  --e-f duration  TOWLINE_E_F
      five
`

func TestParseHelp(t *testing.T) {
	all, err := parseHelp(help)
	if err != nil || len(all) != 5 || all[0] != (setting{"--a", "TOWLINE_A", "one | two (default x)"}) || all[1].variable != "TOWLINE_B" || all[4].option != "--e-f" {
		t.Errorf("%+v, %v", all, err)
	}
	if got := cell(all[0].usage); got != `one \| two (default x)` {
		t.Errorf("as a cell: %s", got)
	}
	for _, bad := range []string{"", strings.Replace(help, "  TOWLINE_C", " TOWLINE_C", 1)} {
		if _, err := parseHelp(bad); err == nil {
			t.Errorf("understood: %q", bad)
		}
	}
}

func TestCollect(t *testing.T) {
	in := func(source string) (map[string]metric, error) {
		t.Helper()
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nvar v = "+source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]metric{}
		return found, collect(f, found)
	}
	found, err := in(`prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "n", Help: "What it is."}, nil)`)
	if err != nil || found["n"] != (metric{"gauge", "What it is."}) {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := in(`prometheus.CounterOpts{Name: prefix + "n", Help: "x"}`); err == nil {
		t.Error("a name that is no literal is left out in silence")
	}
}
