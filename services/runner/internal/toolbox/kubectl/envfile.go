package kubectl

import (
	"fmt"
	"os"
	"strings"
	"unicode"
)

// maxEnvFile bounds a file of variables.
const maxEnvFile = 1 << 20

// envFile returns a file in which names without a value have the value that the
// shell's environment gives them; upstream would look into that of the process.
// A file without such names stays as it is.
func (c *command) envFile(path string) (string, error) {
	path, err := c.path(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return path, nil //nolint:nilerr // upstream has the words for it
	}
	text, err := readAtMost(path, maxEnvFile)
	if err != nil {
		return "", err
	}
	lines, changed := strings.SplitAfter(string(text), "\n"), false
	for i, line := range lines {
		name := strings.TrimRight(strings.TrimLeftFunc(line, unicode.IsSpace), "\r\n")
		if name == "" || name[0] == '#' || strings.Contains(name, "=") {
			continue
		}
		value, _ := c.inv.Getenv(name)
		if strings.ContainsAny(value, "\r\n") {
			return "", fmt.Errorf("%s: the value of %s has more than one line", path, name)
		}
		lines[i], changed = name+"="+value+"\n", true
	}
	if !changed {
		return path, nil
	}
	return c.scratchFile("variables-", strings.NewReader(strings.Join(lines, "")), 2*maxEnvFile)
}
