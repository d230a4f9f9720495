package git

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// dateForm is git's own.
const dateForm = "Mon Jan 2 15:04:05 2006 -0700"

// pretty writes commits in a format of --pretty.
type pretty struct {
	c       *command
	form    string // with placeholders, "" for the built-in ones
	builtIn string // oneline, short, medium, full, raw
	abbrev  bool
	date    string
	ends    bool // each commit ends with a line feed (tformat) instead of being divided by one
}

func (c *command) pretty(format string, oneline bool, date string) (*pretty, error) {
	p := &pretty{c: c, builtIn: "medium", date: date, ends: true}
	switch {
	case oneline:
		p.builtIn, p.abbrev = "oneline", true
	case format == "":
	case strings.HasPrefix(format, "format:"):
		p.form, p.ends = format[len("format:"):], false
	case strings.HasPrefix(format, "tformat:"):
		p.form = format[len("tformat:"):]
	case strings.Contains(format, "%"):
		p.form = format
	case format == "oneline" || format == "short" || format == "medium" || format == "full":
		p.builtIn = format
	default:
		return nil, fatal("invalid --pretty format: %s", format)
	}
	return p, nil
}

func (p *pretty) text(commit *object.Commit) string {
	if p.form != "" {
		return p.expand(commit)
	}
	hash := commit.Hash.String()
	if p.abbrev {
		hash = short(commit.Hash)
	}
	if p.builtIn == "oneline" {
		return hash + " " + subject(commit)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "commit %s\n", hash)
	if len(commit.ParentHashes) > 1 {
		b.WriteString("Merge:")
		for _, parent := range commit.ParentHashes {
			b.WriteString(" " + short(parent))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "Author: %s\n", person(commit.Author))
	if p.builtIn == "full" {
		fmt.Fprintf(&b, "Commit: %s\n", person(commit.Committer))
	}
	if p.builtIn == "medium" {
		fmt.Fprintf(&b, "Date:   %s\n", p.when(commit.Author.When))
	}
	b.WriteByte('\n')
	message := strings.TrimRight(commit.Message, "\n")
	if p.builtIn == "short" {
		message = subject(commit)
	}
	for line := range strings.SplitSeq(message, "\n") {
		b.WriteString("    " + line + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func person(s object.Signature) string { return fmt.Sprintf("%s <%s>", s.Name, s.Email) }

func (p *pretty) when(t time.Time) string {
	switch p.date {
	case "iso", "iso8601":
		return t.Format("2006-01-02 15:04:05 -0700")
	case "iso-strict", "iso8601-strict":
		return strict(t)
	case "short":
		return t.Format("2006-01-02")
	case "unix":
		return fmt.Sprint(t.Unix())
	case "rfc", "rfc2822":
		return t.Format("Mon, 2 Jan 2006 15:04:05 -0700")
	}
	if format, ok := strings.CutPrefix(p.date, "format:"); ok {
		return strftime(format, t)
	}
	return t.Format(dateForm)
}

func strict(t time.Time) string { return t.Format("2006-01-02T15:04:05-07:00") }

// strftime knows the fields that people put into versions and labels.
func strftime(format string, t time.Time) string {
	return strings.NewReplacer("%Y", t.Format("2006"), "%m", t.Format("01"), "%d", t.Format("02"),
		"%H", t.Format("15"), "%M", t.Format("04"), "%S", t.Format("05"), "%z", t.Format("-0700"),
		"%F", t.Format("2006-01-02"), "%T", t.Format("15:04:05"), "%s", fmt.Sprint(t.Unix()), "%y", t.Format("06"),
		"%j", fmt.Sprintf("%03d", t.YearDay()), "%%", "%").Replace(format)
}

func subject(commit *object.Commit) string {
	head, _, _ := strings.Cut(strings.TrimLeft(commit.Message, "\n"), "\n\n")
	return strings.ReplaceAll(strings.TrimRight(head, "\n"), "\n", " ")
}

func body(commit *object.Commit) string {
	_, rest, _ := strings.Cut(strings.TrimLeft(commit.Message, "\n"), "\n\n")
	return strings.TrimLeft(rest, "\n")
}

// expand replaces the placeholders.
func (p *pretty) expand(commit *object.Commit) string {
	var b strings.Builder
	for rest := p.form; rest != ""; {
		at := strings.IndexByte(rest, '%')
		if at < 0 || at == len(rest)-1 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:at])
		rest = rest[at+1:]
		value, used := p.placeholder(commit, rest)
		if used == 0 {
			b.WriteByte('%')
			continue
		}
		b.WriteString(value)
		rest = rest[used:]
	}
	return b.String()
}

// placeholder is the value of what follows a percent sign, and its length.
func (p *pretty) placeholder(commit *object.Commit, rest string) (value string, used int) {
	if strings.HasPrefix(rest, "C(") {
		return "", strings.IndexByte(rest, ')') + 1
	}
	for _, color := range []string{"Cred", "Cgreen", "Cblue", "Creset"} {
		if strings.HasPrefix(rest, color) {
			return "", len(color)
		}
	}
	if len(rest) >= 3 && rest[:3] == "x00" {
		return "\x00", 3
	}
	if len(rest) >= 2 && (rest[0] == 'a' || rest[0] == 'c') {
		who := commit.Author
		if rest[0] == 'c' {
			who = commit.Committer
		}
		if text, ok := p.personField(who, rest[1]); ok {
			return text, 2
		}
	}
	switch rest[0] {
	case 'H':
		return commit.Hash.String(), 1
	case 'h':
		return short(commit.Hash), 1
	case 'T':
		return commit.TreeHash.String(), 1
	case 't':
		return short(commit.TreeHash), 1
	case 'P', 'p':
		return hashes(commit.ParentHashes, rest[0] == 'p'), 1
	case 's':
		return subject(commit), 1
	case 'b':
		return body(commit), 1
	case 'B':
		return commit.Message, 1
	case 'n':
		return "\n", 1
	case '%':
		return "%", 1
	case 'd', 'D':
		return p.c.decoration(commit.Hash, rest[0] == 'd'), 1
	case 'f':
		return slug(subject(commit)), 1
	}
	return "", 0
}

func (p *pretty) personField(who object.Signature, field byte) (string, bool) {
	switch field {
	case 'n', 'N':
		return who.Name, true
	case 'e', 'E':
		return who.Email, true
	case 'd':
		return p.when(who.When), true
	case 'D':
		return who.When.Format("Mon, 2 Jan 2006 15:04:05 -0700"), true
	case 'I':
		return strict(who.When), true
	case 'i':
		return who.When.Format("2006-01-02 15:04:05 -0700"), true
	case 's':
		return who.When.Format("2006-01-02"), true
	case 't':
		return fmt.Sprint(who.When.Unix()), true
	case 'l':
		name, _, _ := strings.Cut(who.Email, "@")
		return name, true
	}
	return "", false
}

func hashes(list []plumbing.Hash, abbreviated bool) string {
	out := make([]string, len(list))
	for i, h := range list {
		if out[i] = h.String(); abbreviated {
			out[i] = short(h)
		}
	}
	return strings.Join(out, " ")
}

func slug(s string) string {
	return strings.Trim(strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '.' && r != '_'
	}), "-"), ".")
}

// divided says whether a line feed stands between commits: not with oneline, nor
// with a format that ends its lines itself.
func (p *pretty) divided() bool {
	if p.form == "" {
		return p.builtIn != "oneline"
	}
	return !p.ends
}
