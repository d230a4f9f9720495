package grep

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
)

var spec = getopt.Spec{
	Short: "A:B:C:EFGHILPRce:f:hilm:noqrsvwxzba",
	Long: map[string]string{
		"after-context": "A", "before-context": "B", "context": "C", "extended-regexp": "E", "perl-regexp": "P", "with-filename": "H", "no-filename": "h",
		"files-without-match": "L", "files-with-matches": "l", "dereference-recursive": "R", "recursive": "r", "count": "c", "regexp": "e",
		"ignore-case": "i", "max-count": "m", "line-number": "n", "only-matching": "o", "quiet": "q", "silent": "q", "no-messages": "s",
		"invert-match": "v", "word-regexp": "w", "line-regexp": "x", "null-data": "z", "text": "a", "byte-offset": "b", "basic-regexp": "G", "fixed-strings": "F", "color": "color::", "colour": "color::",
		"include": "include:", "exclude": "exclude:", "exclude-dir": "exclude-dir:", "line-buffered": "line-buffered", "file": "f",
	},
}

// options are the parsed command line.
type options struct {
	given               []getopt.Option
	set                 map[string]bool
	patterns, files     []string
	filters, skipDir    []filter
	before, after, most int
	implied             bool // the working directory is searched because nothing is named
	names               bool // lines begin with the name of their file
	end                 byte // of a line
}

// Wanted says whether a command line of grep has an option that busybox's does
// not know, or searches the working directory, where busybox's reads its input.
func Wanted(args []string) bool {
	given, operands, err := getopt.Parse(spec, args)
	has := func(names ...string) bool {
		return slices.ContainsFunc(given, func(o getopt.Option) bool { return slices.Contains(names, o.Name) })
	}
	files := len(operands)
	if !has("e", "f") {
		files-- // the first is the pattern
	}
	return has(wanted...) || err == nil && files == 0 && has("r", "R")
}

var wanted = []string{"P", "include", "exclude", "exclude-dir"}

func parse(args []string) (*options, error) {
	given, operands, err := getopt.Parse(spec, args)
	if err != nil {
		return nil, err
	}
	o := &options{given: given, set: map[string]bool{}, most: math.MaxInt, end: '\n'}
	for _, option := range given {
		o.set[option.Name] = true
		if err := o.take(option); err != nil {
			return nil, err
		}
	}
	if o.set["P"] && (o.set["E"] || o.set["F"] || o.set["G"]) {
		return nil, errors.New("conflicting matchers specified")
	}
	if option := o.unsupported(); option != "" {
		return nil, fmt.Errorf("option -%s together with -P or --include is not supported on this runner", option)
	}
	if o.set["z"] {
		o.end = 0
	}
	if len(o.patterns) == 0 && !o.set["f"] {
		if len(operands) == 0 {
			return nil, errors.New("a pattern is missing; usage: grep [OPTION]... PATTERN [FILE]... (files may be left out)")
		}
		o.patterns, operands = operands[:1], operands[1:]
	}
	o.files = operands
	if len(o.files) == 0 {
		o.files = []string{"-"}
		if o.recursive() {
			o.files, o.implied = []string{"."}, true
		}
	}
	o.names = (len(o.files) > 1 || o.recursive() || o.set["H"]) && !o.set["h"]
	return o, nil
}

// unsupported is an option that cannot be carried out.
func (o *options) unsupported() string {
	switch {
	case o.set["b"]:
		return "b"
	case o.set["P"] && o.set["f"]:
		return "f"
	}
	return ""
}

func (o *options) recursive() bool { return o.set["r"] || o.set["R"] }

func (o *options) take(option getopt.Option) error {
	number := 0
	switch option.Name {
	case "e":
		o.patterns = append(o.patterns, option.Value)
	case "include", "exclude":
		o.filters = append(o.filters, newFilter(option.Value, option.Name == "include"))
	case "exclude-dir":
		o.skipDir = append(o.skipDir, newFilter(strings.TrimRight(option.Value, "/"), false))
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
