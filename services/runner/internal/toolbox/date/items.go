package date

import "time"

// Bounds of what digits alone can mean.
const (
	centuryDigits = 2
	maxHourDigits = 2
	maxDayDigits  = 4
	noon          = 12
	epochYear     = 69 // two digits from here on are of the last century
)

// clock reads 12:34[:56[.789]] [am|pm] or a zone, and 3pm.
func (d *description) clock() bool {
	h := d.peek(0)
	if h.kind != number || h.nanos != 0 {
		return false
	}
	if half, ok := meridian(d.peek(1)); ok {
		d.at += 2
		return d.setClock(h.value, 0, 0, 0, half)
	}
	if !d.follows(1, ":") || d.peek(2).kind != number {
		return false
	}
	m, s := d.peek(2), token{}
	d.at += 3
	if d.follows(0, ":") && d.peek(1).kind == number {
		s = d.peek(1)
		d.at += 2
	}
	if half, ok := meridian(d.peek(0)); ok {
		d.at++
		return d.setClock(h.value, m.value, s.value, s.nanos, half)
	}
	if d.peek(0).kind == signed {
		d.offset(0)
	}
	return d.setClock(h.value, m.value, s.value, s.nanos, "")
}

func meridian(t token) (string, bool) {
	return t.text, t.kind == word && (t.text == "am" || t.text == "pm")
}

func (d *description) setClock(h, m, s, nano int, half string) bool {
	if half != "" {
		if h < 1 || h > noon {
			return false
		}
		h %= noon
	}
	if half == "pm" {
		h += noon
	}
	d.times++
	d.hour, d.minute, d.second, d.nano = h, m, s, nano
	return true
}

// offset reads +0200, +02 or +02:00 behind a time or a zone, which is base
// minutes east of UTC.
func (d *description) offset(base int) {
	t := d.peek(0)
	d.at++
	sign, value := 1, t.value
	if t.value < 0 {
		sign, value = -1, -t.value
	}
	minutes := value * 60
	if t.digits > maxHourDigits {
		minutes = value/100*60 + value%100
	} else if d.follows(0, ":") && d.peek(1).kind == number {
		minutes += d.peek(1).value
		d.at += 2
	}
	d.zone = time.FixedZone("", (base+sign*minutes)*60)
}

// calendar reads 2024-01-31, 2024/1/31, 1/31/2024 and 1/31.
func (d *description) calendar() bool {
	a, b, c := d.peek(0), d.peek(1), d.peek(2)
	if a.kind != number {
		return false
	}
	if b.kind == signed && c.kind == signed && b.glued && c.glued && b.value <= 0 && c.value <= 0 && b.nanos+c.nanos == 0 {
		d.at += 3
		d.setDate(century(a), -b.value, -c.value)
		if t := d.peek(0); t.kind == word && t.text == "t" && d.peek(1).kind == number {
			d.at++ // 2024-01-31T12:00
		}
		return true
	}
	if !d.follows(1, "/") || d.peek(2).kind != number {
		return false
	}
	d.at += 3
	if !d.follows(0, "/") || d.peek(1).kind != number {
		d.setDate(d.year, a.value, c.value)
		return true
	}
	e := d.peek(1)
	d.at += 2
	if a.digits >= maxDayDigits {
		d.setDate(century(a), c.value, e.value)
	} else {
		d.setDate(century(e), a.value, c.value)
	}
	d.yearGiven = true
	return true
}

// century completes a year of two digits.
func century(t token) int {
	switch {
	case t.digits != centuryDigits:
		return t.value
	case t.value < epochYear:
		return t.value + 2000
	}
	return t.value + 1900
}

func (d *description) setDate(y, m, day int) {
	d.dates++
	d.year, d.month, d.day = y, m, day
}

// named reads dates with the name of a month: 31 Jan 2024, Jan 31, 2024,
// 31-jan-2024, Jan 31.
func (d *description) named() bool {
	a, b := d.peek(0), d.peek(1)
	if m, ok := month(b.text); ok && a.kind == number && b.kind == word {
		d.at += 2
		d.setDate(d.year, m, a.value)
		if y := d.peek(0); y.kind == signed && y.glued && y.value < 0 {
			y.value = -y.value
			d.setYear(y)
		} else if y.kind == number && !d.isClock(0) {
			d.setYear(y)
		}
		return true
	}
	m, ok := month(a.text)
	if !ok || a.kind != word || b.kind != number || d.isClock(1) {
		return false
	}
	d.at += 2
	d.setDate(d.year, m, b.value)
	if d.follows(0, ",") {
		d.at++
		if y := d.peek(0); y.kind == number && !d.isClock(0) {
			d.setYear(y)
		}
	}
	return true
}

func (d *description) setYear(t token) {
	d.at++
	d.year, d.yearGiven = century(t), true
}

// isClock says whether the nth token from here begins a time.
func (d *description) isClock(n int) bool {
	t := d.peek(n + 1)
	_, half := meridian(t)
	return half || t.kind == symbol && t.text == ":"
}

// distance reads yesterday, 2 days, +1 week, next month, hour, each with an
// optional "ago".
func (d *description) distance() bool {
	t, count := d.peek(0), 1
	if shift, ok := shifts[t.text]; ok && t.kind == word {
		d.at++
		d.by.days += shift
		d.moves++
		return true
	}
	n, nanos := 0, 0
	switch nth, ok := ordinals[t.text]; {
	case t.kind == number || t.kind == signed:
		n, count, nanos = 1, t.value, t.nanos
	case t.kind == word && ok:
		n, count = 1, nth
	}
	u, ok := unitOf(d.peek(n).text)
	if !ok || d.peek(n).kind != word || nanos != 0 && u.seconds != 1 {
		return false
	}
	d.at += n + 1
	if ago := d.peek(0); ago.kind == word && ago.text == "ago" {
		d.at++
		count, nanos = -count, -nanos
	}
	d.by.years += count * u.years
	d.by.months += count * u.months
	d.by.days += count * u.days
	d.by.seconds += count * u.seconds
	d.byNano += nanos
	d.moves++
	return true
}

// weekdayName reads friday, next friday and 2 friday.
func (d *description) weekdayName() bool {
	t, n, nth := d.peek(0), 0, 0
	if o, ok := ordinals[t.text]; ok && t.kind == word {
		n, nth = 1, o
	} else if t.kind == number || t.kind == signed {
		n, nth = 1, t.value
	}
	name := d.peek(n)
	weekday, ok := day(name.text)
	if !ok || name.kind != word {
		return false
	}
	d.at += n + 1
	if d.follows(0, ",") {
		d.at++
	}
	d.weekdays++
	d.weekday, d.nth = weekday, nth
	return true
}

// zoneName reads UTC, UTC+2, CET.
func (d *description) zoneName() bool {
	t := d.peek(0)
	minutes, ok := zones[t.text]
	if !ok || t.kind != word || d.zone != nil {
		return false
	}
	d.at++
	d.zone = time.FixedZone("", minutes*60)
	if _, counts := unitOf(d.peek(1).text); d.peek(0).kind == signed && !counts {
		d.offset(minutes)
	}
	return true
}

// bare reads digits alone: a year behind a date, 20240131, 12 or 1230.
func (d *description) bare() bool {
	t := d.peek(0)
	if t.kind != number || t.nanos != 0 {
		return false
	}
	d.at++
	switch {
	case d.dates > 0 && !d.yearGiven && d.moves == 0 && (d.times > 0 || t.digits > maxHourDigits):
		d.year, d.yearGiven = century(t), true
	case t.digits > maxDayDigits:
		d.setDate(t.value/10000, t.value/100%100, t.value%100)
		d.yearGiven = true
	case t.digits <= maxHourDigits:
		return d.setClock(t.value, 0, 0, 0, "")
	default:
		return d.setClock(t.value/100, t.value%100, 0, 0, "")
	}
	return true
}
