package yq

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/mikefarah/yq/v4/pkg/yqlib"
	"github.com/spf13/pflag"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const (
	// stdin is the name of standard input.
	stdin = "-"
	// maxStdin bounds what is read from standard input, in bytes.
	maxStdin = 256 << 20
	version  = "yq (https://github.com/mikefarah/yq/) version v4.54.2"
)

// turn is held by the one command that evaluates.
var turn sync.Mutex

// Yq runs commands for one job. It is safe for concurrent use.
type Yq struct{ scratch string }

// New keeps standard input in files of scratch, which must exist when a command
// runs.
func New(scratch string) *Yq { return &Yq{scratch: scratch} }

// command is one invocation.
type command struct {
	*options
	inv        tool.Invocation
	expression string
	files      []string          // as the script names them
	paths      []string          // where they are
	names      map[string]string // what to call the paths in messages
}

// Run is the command.
func (y *Yq) Run(_ context.Context, inv tool.Invocation) int {
	opts, operands, err := parse(inv.Args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		defaults := &options{}
		defaults.define()
		fmt.Fprintf(inv.Stdout, "Usage:\n  yq [eval|eval-all] [flags] [expression] [file]...\n\nFlags:\n%s", defaults.flags.FlagUsages())
		return 0
	case err != nil:
		return fail(inv, err)
	case opts.version:
		fmt.Fprintln(inv.Stdout, version)
		return 0
	}
	if opts.json {
		fmt.Fprintln(inv.Stderr, "Flag --tojson has been deprecated, please use -o=json instead")
	}
	c := &command{options: opts, inv: inv, names: map[string]string{}}
	defer c.close(y.scratch)
	if err := c.prepare(y.scratch, operands); err != nil {
		return fail(inv, err)
	}
	out, warnings, err := c.evaluate()
	fmt.Fprint(inv.Stderr, warnings)
	if wErr := c.deliver(out, err == nil); err == nil {
		err = wErr
	}
	if err != nil {
		return fail(inv, c.rename(err))
	}
	return 0
}

func fail(inv tool.Invocation, err error) int {
	fmt.Fprintf(inv.Stderr, "Error: %v\n", err)
	return 1
}

// rename puts the script's names of files and variables into a message.
func (c *command) rename(err error) error {
	text := strings.ReplaceAll(err.Error(), envPrefix, "")
	for path, name := range c.names {
		text = strings.ReplaceAll(text, path, name)
	}
	text = strings.ReplaceAll(text, c.inv.Dir+"/", "")
	return errors.New(text)
}

// prepare finds the expression and the files, and reads standard input.
func (c *command) prepare(scratch string, operands []string) error {
	if err := c.findExpression(operands); err != nil {
		return err
	}
	if c.splitFile != "" {
		text, err := os.ReadFile(c.inv.Path(c.splitFile))
		if err != nil {
			return err
		}
		c.split = string(text)
	}
	if err := c.check(c.files); err != nil {
		return err
	}
	for _, file := range c.files {
		path := c.inv.Path(file)
		if file == stdin {
			var err error
			if path, err = c.store(scratch); err != nil {
				return err
			}
		}
		c.paths = append(c.paths, path)
		c.names[path] = file
	}
	return nil
}

// findExpression tells the expression from the files, as yq does.
func (c *command) findExpression(operands []string) error {
	c.expression = c.options.expression
	if !c.null && len(operands) < 2 && (len(operands) == 0 || operands[0] != stdin && !c.file(operands[0])) {
		operands = append(operands, stdin)
	}
	from := c.expressionFile
	if from == "" && len(operands) > 0 && c.file(operands[0]) && strings.HasSuffix(operands[0], ".yq") {
		from, operands = operands[0], operands[1:]
	}
	if from != "" {
		text, err := os.ReadFile(c.inv.Path(from))
		if err != nil {
			return err
		}
		c.expression = strings.ReplaceAll(string(text), "\r\n", "\n")
	}
	if c.expression == "" && len(operands) > 0 && operands[0] != stdin && !c.file(operands[0]) {
		c.expression, operands = operands[0], operands[1:]
	}
	c.files = operands
	return nil
}

// file says whether an argument names a file rather than being an expression.
func (c *command) file(arg string) bool {
	info, err := os.Stat(c.inv.Path(arg))
	return err == nil && !info.IsDir()
}

// store puts standard input into a file, because the library would read that of
// the process. A second "-" finds nothing more.
func (c *command) store(scratch string) (string, error) {
	f, err := os.CreateTemp(scratch, "yq-stdin-")
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	n, err := io.Copy(f, io.LimitReader(c.inv.Stdin, maxStdin+1))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && n > maxStdin {
		err = fmt.Errorf("more than %d bytes", maxStdin)
	}
	if err != nil {
		return "", fmt.Errorf("standard input: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return f.Name(), nil
}

func (c *command) close(scratch string) {
	for path := range c.names {
		if filepath.Dir(path) == filepath.Clean(scratch) && c.names[path] == stdin {
			_ = os.Remove(path)
		}
	}
}

// evaluate takes the turn and runs the expression. What was printed before an
// error counts.
func (c *command) evaluate() (out []byte, warnings string, err error) {
	turn.Lock()
	defer turn.Unlock()
	var log strings.Builder
	yqlib.GetLogger().SetLevel(slog.LevelWarn)
	yqlib.GetLogger().SetSlogger(slog.New(slog.NewTextHandler(&log, nil)))
	p := newParser(c.inv)
	defer p.close()
	yqlib.ExpressionParser = p
	for path, name := range c.names {
		yqlib.SetFilenameAlias(path, name)
	}
	defer yqlib.ClearFilenameAliases()
	var b bytes.Buffer
	err = c.print(&b, &log)
	return b.Bytes(), log.String(), err
}

func (c *command) print(w io.Writer, log io.Writer) error {
	warning, err := c.formats(c.files)
	if err != nil {
		return err
	}
	if warning != "" {
		slog.New(slog.NewTextHandler(log, nil)).Warn(warning) //nolint:sloglint // the text is yq's
	}
	output, err := yqlib.FormatFromString(c.output)
	if err != nil {
		return err
	}
	input, err := yqlib.FormatFromString(c.input)
	if err != nil {
		return err
	}
	c.install(output)
	if input.DecoderFactory == nil {
		return fmt.Errorf("no support for %s input format", c.input)
	}
	decoder, encoder := input.DecoderFactory(), output.EncoderFactory()
	if encoder == nil {
		return fmt.Errorf("no support for %s output format", c.output)
	}
	target := yqlib.NewSinglePrinterWriter(w)
	if c.split != "" {
		if target, err = newFiles(c.inv, c.split, output); err != nil {
			return err
		}
	}
	printer := yqlib.NewPrinter(encoder, target)
	printer.SetNulSepOutput(c.nul)
	switch {
	case c.null:
		err = yqlib.NewStreamEvaluator().EvaluateNew(c.pretties(), printer)
	case c.all:
		err = yqlib.NewAllAtOnceEvaluator().EvaluateFiles(c.pretties(), c.paths, printer, decoder)
	default:
		err = yqlib.NewStreamEvaluator().EvaluateFiles(c.pretties(), c.paths, printer, decoder)
	}
	if err == nil && c.exitStatus && !printer.PrintedAnything() {
		return errors.New("no matches found")
	}
	return err
}

// pretties is the expression with what -P adds.
func (c *command) pretties() string {
	switch {
	case !c.pretty:
		return c.expression
	case c.expression == "":
		return yqlib.PrettyPrintExp
	}
	return c.expression + " | " + yqlib.PrettyPrintExp
}

// deliver writes the result to standard output or into the file.
func (c *command) deliver(out []byte, ok bool) error {
	if !c.inPlace {
		_, err := c.inv.Stdout.Write(out)
		return err
	}
	if !ok {
		return nil
	}
	path := c.paths[0]
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, info.Mode())
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, err = w.Write(out)
	return errors.Join(err, w.Flush(), f.Close())
}
