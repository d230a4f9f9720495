package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Exit codes.
const (
	exitDenied  = 0 // the attack was refused
	exitEscaped = 1
	exitUsage   = 2 // or the attack failed for another reason than a refusal
)

// attack is one attempt; a nil error means that it succeeded.
type attack func(args []string) error

func main() {
	attacks := map[string]attack{}
	for _, group := range []map[string]attack{files(), code(), sockets(), processes()} {
		maps.Copy(attacks, group)
	}
	if len(os.Args) < 2 || attacks[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "attacks:", strings.Join(slices.Sorted(maps.Keys(attacks)), " "))
		os.Exit(exitUsage)
	}
	err := attacks[os.Args[1]](os.Args[2:])
	switch {
	case err == nil:
		fmt.Fprintln(os.Stdout, "ESCAPED:", strings.Join(os.Args[1:], " "))
		os.Exit(exitEscaped)
	case errors.Is(err, os.ErrPermission), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EXDEV): // the last is Landlock's word for a link
		fmt.Fprintln(os.Stdout, "denied:", err)
		os.Exit(exitDenied)
	}
	fmt.Fprintln(os.Stdout, "unclear:", err)
	os.Exit(exitUsage)
}

// call makes a system call and forgets its result.
func call(trap uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(trap, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}
