package date

import (
	"fmt"
	"time"
)

// description is what has been read of a time. Everything may be left out.
type description struct {
	tokens []token
	at     int

	year, month, day              int
	hour, minute, second, nano    int
	weekday, nth                  int
	zone                          *time.Location
	dates, times, weekdays, moves int // how often each was given
	yearGiven                     bool
	by                            unit
	byNano                        int
}

// Parse reads a description of a point in time as GNU's date does. What it
// leaves out is taken from now, and so is the zone.
func Parse(text string, now time.Time) (time.Time, error) {
	wrong := fmt.Errorf("invalid date '%s'", text)
	tokens, err := scan(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %w", wrong, err)
	}
	if at, ok := epoch(tokens); ok {
		return at.In(now.Location()), nil
	}
	d := &description{
		tokens: tokens, year: now.Year(), month: int(now.Month()), day: now.Day(),
		hour: now.Hour(), minute: now.Minute(), second: now.Second(), nano: now.Nanosecond(),
	}
	for d.peek(0).kind != end {
		if !d.item() {
			return time.Time{}, wrong
		}
	}
	if d.dates > 1 || d.times > 1 || d.weekdays > 1 || !d.valid() {
		return time.Time{}, wrong
	}
	return d.resolve(now), nil
}

// epoch is @seconds.
func epoch(tokens []token) (time.Time, bool) {
	const parts = 2
	if len(tokens) != parts || tokens[0].text != "@" || tokens[1].kind != number && tokens[1].kind != signed {
		return time.Time{}, false
	}
	return time.Unix(int64(tokens[1].value), int64(tokens[1].nanos)), true
}

func (d *description) peek(n int) token {
	if d.at+n >= len(d.tokens) {
		return token{}
	}
	return d.tokens[d.at+n]
}

// follows says whether the nth token from here is this symbol.
func (d *description) follows(n int, text string) bool {
	t := d.peek(n)
	return t.kind == symbol && t.text == text
}

// item reads one part: a date, a time, a zone, the name of a day or a distance.
func (d *description) item() bool {
	for _, read := range []func() bool{d.clock, d.calendar, d.named, d.distance, d.weekdayName, d.zoneName, d.bare} {
		if before := d.at; read() {
			return true
		} else if d.at != before {
			return false
		}
	}
	return false
}

// valid refuses the 30th of February.
func (d *description) valid() bool {
	if d.hour > 23 || d.minute > 59 || d.second > 59 || d.month < 1 || d.month > 12 || d.day < 1 {
		return false
	}
	return d.dates == 0 || time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, time.UTC).Day() == d.day
}

func (d *description) resolve(now time.Time) time.Time {
	if d.times == 0 && (d.moves == 0 || d.dates > 0 || d.weekdays > 0) {
		d.hour, d.minute, d.second, d.nano = 0, 0, 0, 0
	}
	zone := now.Location()
	switch {
	case d.zone != nil:
		zone = d.zone
	case d.dates+d.times+d.weekdays == 0:
		// As with the C library, distances alone are counted as if summer time
		// did not begin or end on the way.
		_, offset := now.Zone()
		zone = time.FixedZone("", offset)
	}
	days := d.day
	if d.weekdays > 0 && d.dates == 0 {
		today := int(time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, time.UTC).Weekday())
		nth := d.nth
		if nth > 0 && today != d.weekday {
			nth--
		}
		days += (d.weekday-today+7)%7 + 7*nth
	}
	at := time.Date(d.year+d.by.years, time.Month(d.month+d.by.months), days+d.by.days, d.hour, d.minute, d.second, d.nano, zone)
	at = time.Unix(at.Unix()+int64(d.by.seconds), int64(at.Nanosecond()+d.byNano))
	return at.In(now.Location())
}
