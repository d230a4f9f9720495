package shell

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

// maskLock keeps two shells of the process from reading a mask that the other
// has only put there to read its own.
var maskLock sync.Mutex

// umask is the builtin. The mask is that of the process: every shell and
// command of the job has it.
func (s *session) umask(_ context.Context, hc interp.HandlerContext, args []string) int {
	maskLock.Lock()
	defer maskLock.Unlock()
	symbolic := len(args) > 0 && args[0] == "-S"
	if symbolic || len(args) > 0 && (args[0] == "-p" || args[0] == "--") {
		args = args[1:]
	}
	now := unix.Umask(0)
	unix.Umask(now)
	if len(args) == 0 {
		text := fmt.Sprintf("%04o", now)
		if symbolic {
			text = symbolicMask(now)
		}
		fmt.Fprintln(hc.Stdout, text)
		return 0
	}
	mask, err := parseMask(args[0], now)
	if err != nil {
		return s.fault(hc, exitFailure, "umask: %v", err)
	}
	unix.Umask(mask)
	return 0
}

const allBits = 0o777

func symbolicMask(mask int) string {
	allowed := allBits &^ mask
	part := func(shift int) string {
		text := ""
		for i, c := range "rwx" {
			if allowed>>shift&(4>>i) != 0 {
				text += string(c)
			}
		}
		return text
	}
	return "u=" + part(6) + ",g=" + part(3) + ",o=" + part(0)
}

// parseMask reads 022 or u=rwx,g=rx,o=.
func parseMask(text string, now int) (int, error) {
	if n, err := strconv.ParseUint(text, 8, 16); err == nil {
		if n > allBits {
			return 0, fmt.Errorf("%s: octal number out of range", text)
		}
		return int(n), nil
	}
	allowed := allBits &^ now
	for clause := range strings.SplitSeq(text, ",") {
		at := strings.IndexAny(clause, "=+-")
		if at < 0 {
			return 0, fmt.Errorf("%s: invalid symbolic mode", text)
		}
		who, bits := 0, 0
		for _, c := range clause[:at] {
			who |= map[rune]int{'u': 0o700, 'g': 0o070, 'o': 0o007, 'a': allBits}[c]
		}
		if at == 0 {
			who = allBits
		}
		for _, c := range clause[at+1:] {
			bit, ok := map[rune]int{'r': 0o444, 'w': 0o222, 'x': 0o111}[c]
			if !ok {
				return 0, fmt.Errorf("`%c': invalid symbolic mode character", c)
			}
			bits |= bit
		}
		switch clause[at] {
		case '=':
			allowed = allowed&^who | bits&who
		case '+':
			allowed |= bits & who
		case '-':
			allowed &^= bits & who
		}
	}
	return allBits &^ allowed, nil
}

// resources are what ulimit reports, by its options.
var resources = []struct {
	flag  byte
	name  string
	limit int
	unit  uint64
}{
	{'c', "core file size", unix.RLIMIT_CORE, 1024},
	{'d', "data seg size", unix.RLIMIT_DATA, 1024},
	{'f', "file size", unix.RLIMIT_FSIZE, 1024},
	{'n', "open files", unix.RLIMIT_NOFILE, 1},
	{'s', "stack size", unix.RLIMIT_STACK, 1024},
	{'t', "cpu time", unix.RLIMIT_CPU, 1},
	{'u', "max user processes", unix.RLIMIT_NPROC, 1},
	{'v', "virtual memory", unix.RLIMIT_AS, 1024},
}

// ulimit is the builtin: it tells the limits and changes none.
func (s *session) ulimit(_ context.Context, hc interp.HandlerContext, args []string) int {
	flags, hard := "f", false
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			return s.fault(hc, exitFailure, "ulimit: the limits of a job are set by the runner and cannot be changed by it")
		}
		rest := strings.NewReplacer("S", "", "H", "").Replace(arg[1:])
		hard = hard || strings.Contains(arg, "H")
		if rest != "" {
			flags = rest
		}
	}
	code := 0
	for _, flag := range []byte(flags) {
		known := false
		for _, r := range resources {
			if flag != 'a' && r.flag != flag {
				continue
			}
			known = true
			value := resourceLimit(r.limit, r.unit, hard)
			if flag == 'a' {
				value = fmt.Sprintf("%-24s (-%c) %s", r.name, r.flag, value)
			}
			fmt.Fprintln(hc.Stdout, value)
		}
		if !known {
			code = s.fault(hc, exitSyntax, "ulimit: -%c: invalid option", flag)
		}
	}
	return code
}

func resourceLimit(resource int, unit uint64, hard bool) string {
	var limit unix.Rlimit
	if err := unix.Getrlimit(resource, &limit); err != nil {
		return "unknown"
	}
	value := limit.Cur
	if hard {
		value = limit.Max
	}
	if value == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(value/unit, 10)
}
