package machine

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// name is what the owner of a number is called: a job cannot read who has
// which, and needs a name that is one.
func name(number int) string {
	if number == 0 {
		return "root"
	}
	return "job"
}

func whoami(_ context.Context, inv tool.Invocation) int {
	if len(inv.Args) > 0 {
		return fault(inv, "whoami", fmt.Errorf("extra operand '%s'", inv.Args[0]))
	}
	fmt.Fprintln(inv.Stdout, name(os.Geteuid()))
	return 0
}

// id prints the user and the group: id [-u|-g|-G] [-n] [-r].
func id(_ context.Context, inv tool.Invocation) int {
	options, operands, err := getopt.Parse(getopt.Spec{Short: "ugGnrza", Long: map[string]string{
		"user": "u", "group": "g", "groups": "G", "name": "n", "real": "r", "zero": "z",
	}}, inv.Args)
	if err != nil {
		return fault(inv, "id", err)
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if len(operands) > 0 && operands[0] != name(uid) && operands[0] != strconv.Itoa(uid) {
		fmt.Fprintf(inv.Stderr, "id: '%s': no such user\n", operands[0])
		return 1
	}
	what, named := "", false
	for _, o := range options {
		switch o.Name {
		case "u", "g", "G":
			if what != "" && what != o.Name {
				fmt.Fprintln(inv.Stderr, "id: cannot print \"only\" of more than one choice")
				return 1
			}
			what = o.Name
		case "n":
			named = true
		}
	}
	number := gid
	switch {
	case what == "" && named:
		fmt.Fprintln(inv.Stderr, "id: cannot print only names or real IDs in default format")
		return 1
	case what == "":
		fmt.Fprintf(inv.Stdout, "uid=%d(%s) gid=%d(%s) groups=%d(%s)\n", uid, name(uid), gid, name(gid), gid, name(gid))
		return 0
	case what == "u":
		number = uid
	}
	text := strconv.Itoa(number)
	if named {
		text = name(number)
	}
	fmt.Fprintln(inv.Stdout, text)
	return 0
}
