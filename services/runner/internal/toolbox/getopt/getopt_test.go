package getopt

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var spec = Spec{Short: "ab:c::", Long: map[string]string{"alpha": "a", "beta": "b", "gamma": "c", "gap": "gap:", "delta": "delta"}}

func TestParse(t *testing.T) {
	for line, want := range map[string]struct {
		options  []Option
		operands []string
		err      string
	}{
		"x -a y":              {[]Option{{Name: "a"}}, []string{"x", "y"}, ""},
		"-ab1 -b 2":           {[]Option{{Name: "a"}, {"b", "1"}, {"b", "2"}}, nil, ""},
		"-c -cx -ac":          {[]Option{{Name: "c"}, {"c", "x"}, {Name: "a"}, {Name: "c"}}, nil, ""},
		"--alpha --beta 1":    {[]Option{{Name: "a"}, {"b", "1"}}, nil, ""},
		"--bet=1 --gam=x":     {[]Option{{"b", "1"}, {"c", "x"}}, nil, ""},
		"--gamma x --gap=":    {[]Option{{Name: "c"}, {Name: "gap"}}, []string{"x"}, ""},
		"-- -a":               {nil, []string{"-a"}, ""},
		"- -a":                {[]Option{{Name: "a"}}, []string{"-"}, ""},
		"-z":                  {nil, nil, "invalid option -- 'z'"},
		"-a:":                 {[]Option{{Name: "a"}}, nil, "invalid option -- ':'"},
		"-b":                  {nil, nil, "option requires an argument -- 'b'"},
		"--beta":              {nil, nil, "option '--beta' requires an argument"},
		"--alpha=1":           {nil, nil, "option '--alpha' doesn't allow an argument"},
		"--ga":                {nil, nil, "option '--ga' is ambiguous; possibilities: '--gamma' '--gap'"},
		"-a --what x":         {[]Option{{Name: "a"}}, nil, "unrecognized option '--what'"},
		"--delta --delta=yes": {[]Option{{Name: "delta"}}, nil, "option '--delta' doesn't allow an argument"},
	} {
		options, operands, err := Parse(spec, strings.Fields(line))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if diff := cmp.Diff(want.options, options) + cmp.Diff(want.operands, operands) + cmp.Diff(want.err, text); diff != "" {
			t.Errorf("%s\n%s", line, diff)
		}
	}
}

func TestTheFirstOperandEndsTheOptionsOfACommandThatRunsAnother(t *testing.T) {
	s := spec
	s.InOrder = true
	options, operands, err := Parse(s, []string{"-a", "cmd", "-b"})
	if diff := cmp.Diff([]Option{{Name: "a"}}, options) + cmp.Diff([]string{"cmd", "-b"}, operands); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestOperandsAmongOptions(t *testing.T) {
	s := spec
	s.Mixed = true
	options, operands, err := Parse(s, []string{"x", "-a", "-", "--beta", "1", "y", "--", "-a"})
	want := []Option{{Value: "x"}, {Name: "a"}, {Value: "-"}, {"b", "1"}, {Value: "y"}, {Value: "-a"}}
	if diff := cmp.Diff(want, options); diff != "" || len(operands) > 0 || err != nil {
		t.Error(diff, operands, err)
	}
}
