package kubectl

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxStdin bounds what a command may read from standard input as a file.
const maxStdin = 64 << 20

// Flags whose values name local files or directories.
var (
	pathFlags = map[string]bool{
		"filename": true, "kustomize": true, "patch-file": true,
		"cert": true, "key": true, "certificate-authority": true, "client-certificate": true, "client-key": true,
		"kubeconfig": true, "cache-dir": true, "output-directory": true, "custom": true, "www": true,
		"embed-certs": false,
	}
	// envFileFlags name files of variables.
	envFileFlags = map[string]bool{"from-env-file": true}
	// keyedPathFlags take path or name=path.
	keyedPathFlags = map[string]bool{"from-file": true}
	// templateFlags take form=path.
	templateFlags = map[string]bool{"output": true}
)

// Names of standard input in place of a file.
const (
	dash     = "-"
	devStdin = "/dev/stdin"
)

// localise rewrites paths in flags and arguments after parsing, when "-f -" of
// apply and "-f" of logs can be told apart.
func (c *command) localise(cmd *cobra.Command, args []string) error {
	var failed error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if failed == nil {
			failed = c.localiseFlag(f)
		}
	})
	if failed != nil {
		return failed
	}
	for _, i := range pathArgs(cmd, args) {
		args[i] = c.localiseArg(cmd, args[i])
	}
	return nil
}

func (c *command) localiseFlag(f *pflag.Flag) error {
	var rewrite func(string) (string, error)
	switch {
	case f.Name == "template" || templateFlags[f.Name]:
		rewrite = c.templatePath
	case keyedPathFlags[f.Name]:
		rewrite = c.keyedPath
	case envFileFlags[f.Name]:
		rewrite = c.envFile
	case pathFlags[f.Name]:
		rewrite = c.path
	default:
		return nil
	}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values := list.GetSlice()
		for i := range values {
			v, err := rewrite(values[i])
			if err != nil {
				return fmt.Errorf("--%s: %w", f.Name, err)
			}
			values[i] = v
		}
		return list.Replace(values)
	}
	v, err := rewrite(f.Value.String())
	if err != nil {
		return fmt.Errorf("--%s: %w", f.Name, err)
	}
	if v == f.Value.String() {
		return nil
	}
	return f.Value.Set(v)
}

func (c *command) path(p string) (string, error) {
	switch {
	case p == dash || p == devStdin:
		return c.stdinFile()
	case strings.HasPrefix(p, "http://") || strings.HasPrefix(p, "https://"):
		return p, nil
	}
	return c.abs(p), nil
}

func (c *command) keyedPath(v string) (string, error) {
	key, p, ok := strings.Cut(v, "=")
	if !ok {
		key, p = "", v
	}
	p, err := c.path(p)
	if ok {
		p = key + "=" + p
	}
	return p, err
}

// templatePath handles -o jsonpath-file=..., go-template-file=... and the like.
func (c *command) templatePath(v string) (string, error) {
	form, p, ok := strings.Cut(v, "=")
	if !ok || !strings.HasSuffix(form, "-file") && form != "templatefile" {
		return v, nil
	}
	p, err := c.path(p)
	return form + "=" + p, err
}

// pathArgs says which arguments of a command name local paths.
func pathArgs(cmd *cobra.Command, args []string) []int {
	switch cmd.CommandPath() {
	case "kubectl cp":
		all := make([]int, len(args))
		for i := range args {
			all[i] = i
		}
		return all
	case "kubectl kustomize":
		if len(args) > 0 {
			return []int{0}
		}
	}
	return nil
}

func (c *command) localiseArg(cmd *cobra.Command, arg string) string {
	remote := strings.Contains(arg, ":") // pod:path, or a URL
	if cmd.Name() == "kustomize" && !remote {
		_, err := os.Stat(c.inv.Path(arg))
		host, _, _ := strings.Cut(arg, "/")
		remote = err != nil && strings.Trim(host, ".") != "" && strings.Contains(host, ".") // github.com/owner/name
	}
	if remote || cmd.Name() == "cp" && arg == dash {
		return arg
	}
	return c.abs(arg)
}

// copyAtMost copies up to limit+1 bytes, so that the caller sees an excess.
func copyAtMost(w io.Writer, r io.Reader, limit int64) (int64, error) {
	if r == nil {
		return 0, nil
	}
	return io.Copy(w, io.LimitReader(r, limit+1))
}
