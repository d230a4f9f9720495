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

// statistics is --stat and --shortstat.
func (d *diffFlags) statistics(c *command, changes []change) error {
	type row struct {
		name           string
		added, removed int
		note           string
	}
	var rows []row
	width, most, added, removed := 0, 0, 0, 0
	for _, ch := range changes {
		before, after, err := ch.texts()
		if err != nil {
			return err
		}
		r := row{name: ch.path}
		if ch.from != "" {
			r.name = ch.from + " => " + ch.path
		}
		if binary(before) || binary(after) {
			r.note = fmt.Sprintf("Bin %d -> %d bytes", len(before), len(after))
		} else {
			for _, h := range unified.Hunks(string(before), string(after), 0) {
				r.added, r.removed = r.added+h.ToCount, r.removed+h.FromCount
			}
		}
		added, removed = added+r.added, removed+r.removed
		width, most = max(width, len(r.name)), max(most, r.added+r.removed)
		rows = append(rows, r)
	}
	digits := len(fmt.Sprint(most))
	for _, r := range rows {
		if d.shortStat {
			break
		}
		if r.note != "" {
			fmt.Fprintf(c.inv.Stdout, " %-*s | %s\n", width, r.name, r.note)
			continue
		}
		plus, minus := r.added, r.removed
		if room := statWidth - width - digits - len(" |  "); most > room && room > 0 {
			plus, minus = scaled(plus, room, most), scaled(minus, room, most)
		}
		bar := strings.Repeat("+", plus) + strings.Repeat("-", minus)
		if bar != "" {
			bar = " " + bar
		}
		fmt.Fprintf(c.inv.Stdout, " %-*s | %*d%s\n", width, r.name, digits, r.added+r.removed, bar)
	}
	if len(rows) > 0 {
		fmt.Fprintln(c.inv.Stdout, summary(len(rows), added, removed))
	}
	return nil
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
