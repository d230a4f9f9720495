package tool

import (
	"errors"
	"strings"
	"syscall"
)

// Reason is an error of the file system in the words of the C library, which
// are those that scripts and people know from other tools. Other errors stay as
// they are.
func Reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text := errno.Error()
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return err.Error()
}
