package jq

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// maxIndent is jq's own limit.
const maxIndent = 7

const usage = `Usage:	jq [OPTIONS] FILTER [FILES...]
	jq [OPTIONS] --args FILTER [ARGUMENTS...]
	jq [OPTIONS] --jsonargs FILTER [JSON_VALUES...]

  -n, --null-input          use null as the single input value
  -R, --raw-input           read each line as string instead of JSON
  -s, --slurp               read all inputs into an array
  -c, --compact-output      compact instead of pretty-printed output
  -r, --raw-output          output strings without quotes
      --raw-output0         like -r, with NUL after each output
  -j, --join-output         like -r, without newline after each output
  -a, --ascii-output        output strings as ASCII with escapes
  -S, --sort-keys           sort the keys of objects
  -C, --color-output        colorize the output
  -M, --monochrome-output   no colors (default)
      --tab                 indent with tabs
      --indent n            indent with n spaces (at most 7)
      --stream              parse the input in streaming fashion
      --seq                 begin each output with an ASCII RS
  -f, --from-file           read the filter from the first argument, a file
  -L directory              search modules in directory
  -e, --exit-status         exit 1 if the last output is null or false, 4 without output
      --arg name value      set $name to the string value
      --argjson name value  set $name to the JSON value
      --slurpfile name file set $name to an array of the JSON values of file
      --rawfile name file   set $name to the text of file
      --args                the remaining arguments are strings in $ARGS.positional
      --jsonargs            the remaining arguments are JSON in $ARGS.positional
`

// usageError is a command line that cannot be understood.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// options are the parsed command line.
type options struct {
	nullInput, rawInput, slurp, stream, seq                  bool
	compact, raw, raw0, join, ascii, color, tab, exitStatus  bool
	fromFile, help, version, filterSeen, positional, jsonPos bool

	indent  int
	library []string
	filter  string
	files   []string
	names   []string // of variables, with the dollar sign
	values  []any
	args    []any
}

// parse reads the command line. Files that options name are read here.
func parse(inv tool.Invocation) (*options, error) {
	o := &options{indent: 2, args: []any{}}
	args := inv.Args
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var used int
		var err error
		switch {
		case arg == "--":
			for _, a := range args {
				if err := o.operand(a); err != nil {
					return nil, err
				}
			}
			return o, o.complete(inv)
		case strings.HasPrefix(arg, "--"):
			used, err = o.long(inv, arg[2:], args)
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			used, err = o.short(arg[1:], args)
		default:
			err = o.operand(arg)
		}
		if err != nil {
			return nil, err
		}
		args = args[used:]
	}
	return o, o.complete(inv)
}

// operand takes an argument that is no option.
func (o *options) operand(arg string) error {
	switch {
	case !o.filterSeen:
		o.filter, o.filterSeen = arg, true
	case o.jsonPos:
		v, err := parseValue(arg)
		if err != nil {
			return usageError{fmt.Sprintf("Invalid JSON text passed to --jsonargs: %s", arg)}
		}
		o.args = append(o.args, v)
	case o.positional:
		o.args = append(o.args, arg)
	default:
		o.files = append(o.files, arg)
	}
	return nil
}

// complete finds the filter and adds $ARGS.
func (o *options) complete(inv tool.Invocation) error {
	named := make(map[string]any, len(o.names))
	for i, name := range o.names {
		named[name[1:]] = o.values[i]
	}
	o.names = append(o.names, "$ARGS")
	o.values = append(o.values, map[string]any{"named": named, "positional": o.args})
	switch {
	case o.help || o.version:
	case o.fromFile && o.filterSeen:
		text, err := os.ReadFile(inv.Path(o.filter))
		if err != nil {
			return usageError{fmt.Sprintf("error: Could not open %s: %s", o.filter, tool.Reason(err))}
		}
		o.filter = string(text)
	case o.fromFile:
		return usageError{"-f needs the file of a filter"}
	case !o.filterSeen:
		o.filter = "."
	}
	return nil
}

// flags are the options without values.
func (o *options) flags() map[string]*bool {
	var ignored bool
	return map[string]*bool{
		"n": &o.nullInput, "null-input": &o.nullInput,
		"R": &o.rawInput, "raw-input": &o.rawInput,
		"s": &o.slurp, "slurp": &o.slurp,
		"c": &o.compact, "compact-output": &o.compact,
		"r": &o.raw, "raw-output": &o.raw, "raw-output0": &o.raw0,
		"j": &o.join, "join-output": &o.join,
		"a": &o.ascii, "ascii-output": &o.ascii,
		"S": &ignored, "sort-keys": &ignored, // gojq always sorts
		"C": &o.color, "color-output": &o.color,
		"tab":    &o.tab,
		"stream": &o.stream, "seq": &o.seq, "unbuffered": &ignored,
		"f": &o.fromFile, "from-file": &o.fromFile,
		"e": &o.exitStatus, "exit-status": &o.exitStatus,
		"h": &o.help, "help": &o.help, "V": &o.version, "version": &o.version,
	}
}

func (o *options) short(cluster string, rest []string) (used int, err error) {
	flags := o.flags()
	for i, c := range cluster {
		name := string(c)
		switch {
		case flags[name] != nil:
			*flags[name] = true
		case name == "M":
			o.color = false
		case name == "L":
			dir := cluster[i+1:]
			if dir == "" {
				if len(rest) == 0 {
					return 0, usageError{"-L takes a parameter: (e.g. -L /search/path or -L/search/path)"}
				}
				dir, used = rest[0], 1
			}
			o.library = append(o.library, dir)
			return used, nil
		default:
			return 0, usageError{"Unknown arguments: -" + cluster}
		}
	}
	return 0, nil
}

func (o *options) long(inv tool.Invocation, name string, rest []string) (used int, err error) {
	if flag := o.flags()[name]; flag != nil && len(name) > 1 {
		*flag = true
		return 0, nil
	}
	switch name {
	case "monochrome-output":
		o.color = false
		return 0, nil
	case "args":
		o.positional, o.jsonPos = true, false
		return 0, nil
	case "jsonargs":
		o.positional, o.jsonPos = false, true
		return 0, nil
	case "indent":
		if len(rest) == 0 {
			return 0, usageError{"--indent takes one parameter"}
		}
		return 1, o.setIndent(rest[0])
	case "arg", "argjson", "slurpfile", "rawfile":
		if len(rest) < 2 {
			return 0, usageError{fmt.Sprintf("--%s takes two parameters (e.g. --%s name value)", name, name)}
		}
		return 2, o.variable(inv, name, rest[0], rest[1])
	}
	return 0, usageError{"Unknown arguments: --" + name}
}

func (o *options) setIndent(text string) error {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return usageError{"--indent takes a number"}
	case n < 0:
		return usageError{"Cannot indent less than zero"}
	case n > maxIndent:
		return usageError{fmt.Sprintf("Cannot indent more than %d characters", maxIndent)}
	}
	o.indent = n
	return nil
}

// variable is an option with a name and a value. The first of a name counts.
func (o *options) variable(inv tool.Invocation, option, name, text string) error {
	var value any = text
	switch option {
	case "argjson":
		v, err := parseValue(text)
		if err != nil {
			return usageError{"Invalid JSON text passed to --argjson"}
		}
		value = v
	case "slurpfile", "rawfile":
		content, err := os.ReadFile(inv.Path(text))
		if err != nil {
			return usageError{fmt.Sprintf("Bad JSON in --%s %s %s: Could not open %s: %s", option, name, text, text, tool.Reason(err))}
		}
		if value = any(string(content)); option == "slurpfile" {
			if value, err = parseValues(string(content)); err != nil {
				return usageError{fmt.Sprintf("Bad JSON in --%s %s %s: %v", option, name, text, err)}
			}
		}
	}
	if !slices.Contains(o.names, "$"+name) {
		o.names = append(o.names, "$"+name)
		o.values = append(o.values, value)
	}
	return nil
}

func parseValues(text string) ([]any, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	values := []any{}
	for dec.More() {
		var v any
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	if _, err := dec.Token(); err == nil {
		return nil, fmt.Errorf("more after the last value")
	}
	return values, nil
}

func parseValue(text string) (any, error) {
	values, err := parseValues(text)
	if err != nil {
		return nil, err
	}
	if len(values) != 1 {
		return nil, fmt.Errorf("%d values instead of one", len(values))
	}
	return values[0], nil
}
