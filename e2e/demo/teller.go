package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/e2e/rig"
)

// teller prints the story, one line at a time.
type teller struct {
	mu    sync.Mutex
	out   io.Writer
	began time.Time
}

func newTeller(out io.Writer) *teller { return &teller{out: out, began: time.Now()} }

// Write lets builders show their progress.
func (t *teller) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		t.say("build", "%s", strings.TrimRight(line, "\n"))
	}
	return len(p), nil
}

func (t *teller) head(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "\n== "+format+"\n", args...)
}

func (t *teller) say(who, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "%7.2fs  %-10s %s\n", time.Since(t.began).Seconds(), who, fmt.Sprintf(format, args...))
}

// block prints text as it is, indented.
func (t *teller) block(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range strings.Lines(text) {
		fmt.Fprintf(t.out, "    %s\n", strings.TrimRight(line, "\n"))
	}
}

// log turns the services' log lines into the story.
func (t *teller) log(service string, l rig.Line) {
	switch l.Text("msg") {
	case "job taken from GitLab":
		t.say(service, "polled GitLab and was handed job %s of %s (ticket of runner slot %s)", l.Text("job_id"), l.Text("project"), l.Text("ticket"))
	case "decision":
		verdict := "denies"
		if l.Text("allow") == "true" {
			verdict = "allows"
		}
		t.say(service, "%s job %s; rule: %s", verdict, l.Text("job_id"), l.Text("rule"))
		if reasons, ok := l["reasons"].([]any); ok {
			for _, r := range reasons {
				t.say(service, "  because: %v", r)
			}
		}
		if u := l.Text("identity_user"); u != "" {
			t.say(service, "  acts as: %s (%s)", u, l.Text("identity_mode"))
		}
	case "job allowed and queued":
		t.say(service, "sealed and queued job %s with policy's grant", l.Text("job_id"))
	case "kubernetes request":
		name := l.Text("name")
		if name == "" {
			name = "(new)"
		}
		t.say("gate", "%s %s %s/%s as %s: %s", l.Text("verb"), l.Text("resource"), l.Text("namespace"), name, l.Text("user"), l.Text("code"))
	case "job finished":
		t.say(service, "finished job %s: %s in %s ms", l.Text("job_id"), l.Text("state"), l.Text("took_ms"))
	case "job reported":
		t.say(service, "reported job %s to GitLab: %s, %s bytes of log", l.Text("job_id"), l.Text("state"), l.Text("log_bytes"))
	default:
		if level := l.Text("level"); level == "WARN" || level == "ERROR" {
			if l.Text("error") != "not connected yet" {
				t.say(service, "%s: %s %s", strings.ToLower(level), l.Text("msg"), l.Text("error"))
			}
		}
	}
}
