package explain

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/policy/internal/records"
)

// The exit statuses of explain; 0 is a job that is let in.
const (
	ExitRefused = 1
	ExitUnknown = 2 // there is no answer
)

// Command is what explain and show are asked on the command line.
type Command struct {
	question Question
	job      int64
	log      string
	format   string
	// Socket is where the running service answers; "" asks Offline.
	Socket string
	// Offline makes a Policy of settings and files.
	Offline func() (*Policy, error)
}

// Bind adds the options of explain to the service's.
func (c *Command) Bind(b *service.Settings) {
	q := &c.question
	b.String(&q.Project, "project", "", "full path of the project whose job it would be")
	b.String(&q.Ref, "ref", "", "the branch that the job would be for")
	b.String(&q.Tag, "tag", "", "the tag that the job would be for")
	b.Bool(&q.Protected, "protected", false, "the branch or tag is a protected one")
	b.String(&q.Environment, "environment", "", "name of the job's environment")
	b.String(&q.Tier, "tier", "", "its tier; empty: as GitLab guesses it from the name")
	b.String(&q.User, "user", "", "name of the user who runs it")
	b.String(&q.Role, "role", "", "the user's role in the project; empty: developer")
	b.String(&q.Agent, "kube-context", "", "the job's KUBE_CONTEXT")
	b.String(&q.Namespace, "kube-namespace", "", "the job's KUBE_NAMESPACE")
	b.Int64(&c.job, "job", 0, "id of a job that was decided about, instead of all these")
	b.String(&c.log, "log", "", "policy's log as JSON, where --job is looked for; - is standard input. Empty: what the running policy remembers")
	c.BindFormat(b)
}

// BindFormat adds the only option that show has.
func (c *Command) BindFormat(b *service.Settings) {
	b.String(&c.format, "format", "text", "text or json")
}

// Explain answers on out. The error is a service.Status.
func (c *Command) Explain(ctx context.Context, out io.Writer) error {
	if err := c.checkFormat(); err != nil {
		return unknown(err)
	}
	if c.job != 0 {
		return c.explainJob(ctx, out)
	}
	if err := c.question.Validate(); err != nil {
		return unknown(err)
	}
	a, err := c.ask(ctx)
	if err != nil {
		return unknown(err)
	}
	if c.format == "json" {
		err = encode(out, a)
	} else {
		a.Text(out)
	}
	return outcome(a.Decision.Allow, err)
}

func (c *Command) ask(ctx context.Context) (*Answer, error) {
	if c.Socket != "" {
		return newClient(c.Socket).explain(ctx, c.question)
	}
	p, err := c.Offline()
	if err != nil {
		return nil, err
	}
	return p.Explain(c.question)
}

func (c *Command) explainJob(ctx context.Context, out io.Writer) error {
	found, err := c.find(ctx)
	switch {
	case err != nil:
		return unknown(err)
	case len(found) == 0 && c.log == "":
		return unknown(fmt.Errorf("this replica remembers no decision about job %d: ask the other replicas, or give the log with --log, as docs/guide/configuration.md shows", c.job))
	case len(found) == 0:
		return unknown(fmt.Errorf("the log holds no decision about job %d: it may be of another replica, or from an older pod", c.job))
	}
	if c.format == "json" {
		return outcome(found[0].Allow, encode(out, found))
	}
	for i, r := range found {
		if i > 0 {
			fmt.Fprint(out, "\n---\n")
		}
		RecordText(out, r)
	}
	return outcome(found[0].Allow, nil)
}

// find returns the decisions about the job, the newest first.
func (c *Command) find(ctx context.Context) ([]records.Record, error) {
	switch {
	case c.log == "-":
		return inLog(os.Stdin, c.job)
	case c.log != "":
		f, err := os.Open(c.log)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return inLog(f, c.job)
	case c.Socket == "":
		return nil, errors.New("no running policy is known here: run this in its pod, or give its log with --log")
	default:
		return newClient(c.Socket).decisions(ctx, c.job)
	}
}

// maxLine bounds a line of a log, in bytes; longer ones end the reading.
const maxLine = 1 << 20

// inLog reads lines of JSON, whatever stands in front of them; others are passed
// over.
func inLog(r io.Reader, job int64) ([]records.Record, error) {
	var out []records.Record
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		i := bytes.IndexByte(lines.Bytes(), '{')
		if i < 0 {
			continue
		}
		var line struct {
			Message string `json:"msg"`
			records.Record
		}
		if json.Unmarshal(lines.Bytes()[i:], &line) == nil && line.Message == "decision" && line.JobID == job {
			out = append(out, line.Record)
		}
	}
	slices.SortStableFunc(out, func(a, b records.Record) int { return b.Time.Compare(a.Time) })
	return out, lines.Err()
}

// Show writes the overview on out. The error is a service.Status.
func (c *Command) Show(ctx context.Context, out io.Writer) error {
	if err := c.checkFormat(); err != nil {
		return unknown(err)
	}
	o, err := c.overview(ctx)
	if err != nil {
		return unknown(err)
	}
	if c.format == "json" {
		return outcome(true, encode(out, o))
	}
	o.Text(out)
	return nil
}

func (c *Command) overview(ctx context.Context) (*Overview, error) {
	if c.Socket != "" {
		return newClient(c.Socket).show(ctx)
	}
	p, err := c.Offline()
	if err != nil {
		return nil, err
	}
	return p.Show(), nil
}

func (c *Command) checkFormat() error {
	if c.format != "text" && c.format != "json" {
		return fmt.Errorf("--format=%s: use text or json", c.format)
	}
	return nil
}

func encode(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func outcome(allow bool, err error) error {
	switch {
	case err != nil:
		return unknown(err)
	case !allow:
		return service.Status{Code: ExitRefused}
	}
	return nil
}

func unknown(err error) error { return service.Status{Code: ExitUnknown, Err: err} }
