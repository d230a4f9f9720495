package machine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Commands are the commands by name.
func Commands() map[string]tool.Command {
	return map[string]tool.Command{
		"clear": nothing, "hostname": hostname, "id": id, "nproc": nproc, "printenv": printenv, "reset": nothing, "tput": tput, "uuidgen": uuidgen, "whoami": whoami,
	}
}

func fault(inv tool.Invocation, command string, err error) int {
	getopt.Fault(inv.Stderr, command, err)
	return 1
}

func nothing(context.Context, tool.Invocation) int { return 0 }

// tput knows the terminal that a log is: none that has colours or a cursor.
func tput(_ context.Context, inv tool.Invocation) int {
	_, operands, err := getopt.Parse(getopt.Spec{Short: "T:SVx"}, inv.Args)
	if err != nil {
		return fault(inv, "tput", err)
	}
	if len(operands) > 0 {
		if text, ok := map[string]string{"cols": "80", "lines": "24", "colors": "-1", "longname": "a log"}[operands[0]]; ok {
			fmt.Fprintln(inv.Stdout, text)
		}
	}
	return 0
}

func hostname(_ context.Context, inv tool.Invocation) int {
	options, operands, err := getopt.Parse(getopt.Spec{Short: "sfd", Long: map[string]string{"short": "s", "fqdn": "f", "long": "f", "domain": "d"}}, inv.Args)
	if err == nil && len(operands) > 0 {
		err = errors.New("the name of the host cannot be set in a job")
	}
	if err != nil {
		return fault(inv, "hostname", err)
	}
	name, err := os.Hostname()
	if err != nil {
		return fault(inv, "hostname", err)
	}
	short, domain, _ := strings.Cut(name, ".")
	for _, o := range options {
		switch o.Name {
		case "s":
			name = short
		case "d":
			name = domain
		}
	}
	fmt.Fprintln(inv.Stdout, name)
	return 0
}

func nproc(_ context.Context, inv tool.Invocation) int {
	options, operands, err := getopt.Parse(getopt.Spec{Long: map[string]string{"all": "all", "ignore": "ignore:"}}, inv.Args)
	if err == nil && len(operands) > 0 {
		err = fmt.Errorf("extra operand '%s'", operands[0])
	}
	n := runtime.NumCPU()
	for _, o := range options {
		if o.Name != "ignore" {
			continue
		}
		less, e := strconv.Atoi(o.Value)
		if e != nil || less < 0 {
			err = fmt.Errorf("invalid number to ignore: '%s'", o.Value)
		}
		n = max(runtime.NumCPU()-less, 1)
	}
	if err != nil {
		return fault(inv, "nproc", err)
	}
	fmt.Fprintln(inv.Stdout, n)
	return 0
}

// printenv prints the exported variables, or the values of some.
func printenv(_ context.Context, inv tool.Invocation) int {
	const usage = 2
	options, names, err := getopt.Parse(getopt.Spec{Short: "0", Long: map[string]string{"null": "0"}, InOrder: true}, inv.Args)
	if err != nil {
		fault(inv, "printenv", err)
		return usage
	}
	end := "\n"
	if len(options) > 0 {
		end = "\x00"
	}
	if len(names) == 0 {
		for _, entry := range inv.Environ {
			fmt.Fprint(inv.Stdout, entry, end)
		}
		return 0
	}
	code := 0
	for _, name := range names {
		value, ok := inv.Getenv(name)
		if !ok || strings.Contains(name, "=") {
			code = 1
			continue
		}
		fmt.Fprint(inv.Stdout, value, end)
	}
	return code
}

// uuidgen prints a random UUID (RFC 9562, version 4).
func uuidgen(_ context.Context, inv tool.Invocation) int {
	options, operands, err := getopt.Parse(getopt.Spec{Short: "rt", Long: map[string]string{"random": "r", "time": "t"}}, inv.Args)
	switch {
	case err == nil && len(operands) > 0:
		err = fmt.Errorf("extra operand '%s'", operands[0])
	case err == nil && len(options) > 0 && options[0].Name == "t":
		err = errors.New("only random UUIDs are made here; leave -t away")
	}
	if err != nil {
		return fault(inv, "uuidgen", err)
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	const version, variant = 6, 8
	b[version] = b[version]&0x0f | 0x40
	b[variant] = b[variant]&0x3f | 0x80
	fmt.Fprintf(inv.Stdout, "%x-%x-%x-%x-%x\n", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
	return 0
}
