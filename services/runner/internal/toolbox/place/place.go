package place

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Permissions of new files and directories, before the job's umask.
const (
	newFile   = 0o666
	newFolder = 0o777
)

func fault(inv tool.Invocation, command string, err error) int {
	getopt.Fault(inv.Stderr, command, err)
	return 1
}

// fail tells of an error of the file system.
func fail(inv tool.Invocation, command, what string, err error) int {
	fmt.Fprintf(inv.Stderr, "%s: %s: %s\n", command, what, tool.Reason(err))
	return 1
}

// counted reads a positive number with an optional unit of bytes.
func counted(text string) (int64, error) {
	units := []struct {
		suffix string
		size   int64
	}{{"KB", 1000}, {"MB", 1e6}, {"GB", 1e9}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"k", 1 << 10}, {"m", 1 << 20}, {"b", 512}}
	digits, size := text, int64(1)
	for _, u := range units {
		if n := len(text) - len(u.suffix); n > 0 && text[n:] == u.suffix {
			digits, size = text[:n], u.size
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > (1<<62)/size {
		return 0, errors.New("invalid number")
	}
	return n * size, nil
}
