package toolbox

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

var sortSpec = getopt.Spec{Short: "bcCdfgiMnruVzsk:o:t:", Long: map[string]string{
	"ignore-leading-blanks": "b", "check": "check::", "dictionary-order": "d", "ignore-case": "f", "general-numeric-sort": "g",
	"ignore-nonprinting": "i", "month-sort": "M", "numeric-sort": "n", "reverse": "r", "unique": "u", "version-sort": "V",
	"zero-terminated": "z", "stable": "s", "key": "k", "output": "o", "field-separator": "t", "buffer-size": "buffer-size:", "parallel": "parallel:",
}}

func silentCheck(o getopt.Option) bool {
	return o.Name == "C" || o.Name == "check" && (o.Value == "quiet" || o.Value == "silent")
}

// checkWanted says whether sort only has to tell with its exit code whether its
// input is sorted, which busybox's cannot without a word.
func checkWanted(args []string) bool {
	options, _, err := getopt.Parse(sortSpec, args)
	return err == nil && slices.ContainsFunc(options, silentCheck)
}

// check is `sort -C`: -c, whose answer is thrown away.
func check(ctx context.Context, inv tool.Invocation) int {
	options, operands, err := getopt.Parse(sortSpec, inv.Args)
	if err != nil {
		getopt.Fault(inv.Stderr, "sort", err)
		return exitSort
	}
	if len(operands) > 1 {
		fmt.Fprintf(inv.Stderr, "sort: extra operand '%s' not allowed with -C\n", operands[1])
		return exitSort
	}
	args := []string{"-c"}
	for _, o := range options {
		switch {
		case silentCheck(o) || len(o.Name) > 1:
		case o.Name == "k" || o.Name == "o" || o.Name == "t":
			args = append(args, "-"+o.Name, o.Value)
		default:
			args = append(args, "-"+o.Name)
		}
	}
	inner := inv
	var words bytes.Buffer
	inner.Args, inner.Stderr = append(append(args, "--"), operands...), &words
	code := inv.Run(ctx, inner)
	if code > 1 {
		_, _ = inv.Stderr.Write(words.Bytes()) // nobody is left to tell
	}
	return code
}

// exitSort is how sort ends when it cannot do its work.
const exitSort = 2
