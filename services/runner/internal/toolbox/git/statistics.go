package git

import (
	"fmt"
	"io"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/unified"
)

// statWidth is how wide --stat is.
const statWidth = 80

func copyTo(w io.Writer, r io.Reader) error {
	_, err := io.Copy(w, r)
	return err
}

// row is one file of --stat.
type row struct {
	name           string
	added, removed int
	note           string
}

// statistics is --stat and --shortstat.
func (d *diffFlags) statistics(c *command, changes []change) error {
	var rows []row
	width, most, added, removed := 0, 0, 0, 0
	for _, ch := range changes {
		r, err := ch.row()
		if err != nil {
			return err
		}
		added, removed = added+r.added, removed+r.removed
		width, most = max(width, len(r.name)), max(most, r.added+r.removed)
		rows = append(rows, r)
	}
	if !d.shortStat {
		for _, r := range rows {
			fmt.Fprintln(c.inv.Stdout, r.text(width, most))
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(c.inv.Stdout, summary(len(rows), added, removed))
	}
	return nil
}

// row counts the lines that a change adds and removes.
func (ch change) row() (row, error) {
	before, after, err := ch.texts()
	if err != nil {
		return row{}, err
	}
	r := row{name: ch.path}
	if ch.from != "" {
		r.name = ch.from + " => " + ch.path
	}
	if binary(before) || binary(after) {
		r.note = fmt.Sprintf("Bin %d -> %d bytes", len(before), len(after))
		return r, nil
	}
	for _, h := range unified.Hunks(string(before), string(after), 0) {
		r.added, r.removed = r.added+h.ToCount, r.removed+h.FromCount
	}
	return r, nil
}

// text is the row with its bar, in a table with names so wide and at most so
// many changed lines.
func (r row) text(width, most int) string {
	if r.note != "" {
		return fmt.Sprintf(" %-*s | %s", width, r.name, r.note)
	}
	digits := len(fmt.Sprint(most))
	plus, minus := r.added, r.removed
	if room := statWidth - width - digits - len(" |  "); most > room && room > 0 {
		plus, minus = scaled(plus, room, most), scaled(minus, room, most)
	}
	bar := strings.Repeat("+", plus) + strings.Repeat("-", minus)
	if bar != "" {
		bar = " " + bar
	}
	return fmt.Sprintf(" %-*s | %*d%s", width, r.name, digits, r.added+r.removed, bar)
}

func scaled(n, room, most int) int {
	if n == 0 {
		return 0
	}
	return 1 + n*(room-1)/most
}

func summary(files, added, removed int) string {
	text := " " + plural(files, "file changed", "files changed")
	if added > 0 || removed == 0 {
		text += ", " + plural(added, "insertion(+)", "insertions(+)")
	}
	if removed > 0 || added == 0 {
		text += ", " + plural(removed, "deletion(-)", "deletions(-)")
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
