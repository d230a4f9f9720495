package app

import (
	"fmt"
	"regexp"
	"strings"
)

// groupPath is the full path of a project or a group.
var groupPath = regexp.MustCompile(`^[^\s/:*=,]+(/[^\s/:*=,]+)*$`)

// checkProjectTokens checks --gitops-tokens.
func checkProjectTokens(list []string) error {
	seen := map[string]bool{}
	for _, item := range list {
		path, file, ok := strings.Cut(item, "=")
		switch {
		case !ok || file == "" || !groupPath.MatchString(path):
			return fmt.Errorf("--gitops-tokens: %q: want the path of a group or project, =, and a file, for example acme/apps=/etc/towline/token", item)
		case seen[strings.ToLower(path)]:
			return fmt.Errorf("--gitops-tokens: %s is given twice; keep one", path)
		}
		seen[strings.ToLower(path)] = true
	}
	return nil
}

// tokenFor finds the token that reads a project: the one for the longest path
// that the project is or is below, else the one of --gitops-token-file. Another
// token never stands in for one that cannot be read. origin names the setting
// it comes from.
func (c *settings) tokenFor(project string) (token, origin string, err error) {
	file, longest := c.gitopsTokenFile, ""
	origin = "--gitops-token-file"
	below := strings.ToLower(project) + "/"
	for _, item := range c.gitopsTokens {
		path, of, _ := strings.Cut(item, "=")
		if len(path) > len(longest) && strings.HasPrefix(below, strings.ToLower(path)+"/") {
			file, longest, origin = of, path, "the token for "+path+" of --gitops-tokens"
		}
	}
	if token, err = readToken(file); err != nil {
		err = fmt.Errorf("%s: %w", origin, err)
	}
	return token, origin, err
}
