package perlgrep

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
)

var spec = getopt.Spec{
	Short: "A:B:C:EFGHLPRce:f:hilm:noqrsvwxzba",
	Long: map[string]string{
		"after-context": "A", "before-context": "B", "context": "C", "extended-regexp": "E", "perl-regexp": "P", "with-filename": "H", "no-filename": "h",
		"files-without-match": "L", "files-with-matches": "l", "dereference-recursive": "R", "recursive": "r", "count": "c", "regexp": "e",
		"ignore-case": "i", "max-count": "m", "line-number": "n", "only-matching": "o", "quiet": "q", "silent": "q", "no-messages": "s",
		"invert-match": "v", "word-regexp": "w", "line-regexp": "x", "null-data": "z", "text": "a", "color": "color::", "colour": "color::",
		"include": "include:", "exclude": "exclude:", "exclude-dir": "exclude-dir:", "line-buffered": "line-buffered", "file": "f",
	},
}

// options are the parsed command line.
type options struct {
	set                       map[string]bool
	patterns, files           []string
	include, exclude, skipDir []string
	before, after, most       int
	names                     bool // lines begin with the name of their file
	end                       byte // of a line
}

// Wanted says whether a command line of grep asks for Perl's patterns.
func Wanted(args []string) bool {
	given, _, _ := getopt.Parse(spec, args)
	return slices.ContainsFunc(given, func(o getopt.Option) bool { return o.Name == "P" })
}

func parse(args []string) (*options, error) {
	given, operands, err := getopt.Parse(spec, args)
	if err != nil {
		return nil, err
	}
	o := &options{set: map[string]bool{}, most: math.MaxInt, end: '\n'}
	for _, option := range given {
		o.set[option.Name] = true
		if err := o.take(option); err != nil {
			return nil, err
		}
	}
	if o.set["E"] || o.set["F"] || o.set["G"] {
		return nil, errors.New("conflicting matchers specified")
	}
	if o.set["z"] {
		o.end = 0
	}
	if len(o.patterns) == 0 {
		if len(operands) == 0 {
			return nil, errors.New("a pattern is missing; usage: grep -P [OPTION]... PATTERN [FILE]... (files may be left out)")
		}
		o.patterns, operands = operands[:1], operands[1:]
	}
	o.files = operands
	if len(o.files) == 0 {
		o.files = []string{"-"}
		if o.recursive() {
			o.files = []string{"."}
		}
	}
	o.names = (len(o.files) > 1 || o.recursive() || o.set["H"]) && !o.set["h"]
	return o, nil
}

func (o *options) recursive() bool { return o.set["r"] || o.set["R"] }

func (o *options) take(option getopt.Option) error {
	number := 0
	switch option.Name {
	case "e":
		o.patterns = append(o.patterns, option.Value)
	case "include":
		o.include = append(o.include, option.Value)
	case "exclude":
		o.exclude = append(o.exclude, option.Value)
	case "exclude-dir":
		o.skipDir = append(o.skipDir, option.Value)
	case "f", "b":
		return fmt.Errorf("option -%s together with -P is not supported on this runner", option.Name)
	case "A", "B", "C", "m":
		n, err := strconv.Atoi(option.Value)
		if err != nil || n < 0 {
			return fmt.Errorf("%s: invalid number", option.Value)
		}
		number = n
	}
	switch option.Name {
	case "A":
		o.after = number
	case "B":
		o.before = number
	case "C":
		o.before, o.after = number, number
	case "m":
		o.most = number
	}
	return nil
}
