package date

import "strings"

var monthNames = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}

var dayNames = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// dayShort are the short names that are longer than three letters.
var dayShort = map[string]int{"tues": 2, "wednes": 3, "thur": 4, "thurs": 4}

// shifts are the words that are a distance in days by themselves.
var shifts = map[string]int{"now": 0, "today": 0, "tomorrow": 1, "yesterday": -1}

// ordinals stand in front of a unit or the name of a day. There is no "second":
// that is a unit.
var ordinals = map[string]int{
	"last": -1, "this": 0, "next": 1, "first": 1, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
	"eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12,
}

// unit is what a number counts.
type unit struct{ years, months, days, seconds int }

var units = map[string]unit{
	"year": {years: 1}, "month": {months: 1}, "fortnight": {days: 14}, "week": {days: 7}, "day": {days: 1},
	"hour": {seconds: 3600}, "minute": {seconds: 60}, "min": {seconds: 60}, "second": {seconds: 1}, "sec": {seconds: 1},
}

// month is the number of a month that is named in full or by three letters.
func month(text string) (int, bool) {
	for i, name := range monthNames {
		if text == name || text == name[:3] || text == "sept" && i == 8 {
			return i + 1, true
		}
	}
	return 0, false
}

func day(text string) (int, bool) {
	for i, name := range dayNames {
		if text == name || text == name[:3] {
			return i, true
		}
	}
	n, ok := dayShort[text]
	return n, ok
}

func unitOf(text string) (unit, bool) {
	if u, ok := units[text]; ok {
		return u, true
	}
	u, ok := units[strings.TrimSuffix(text, "s")]
	return u, ok
}
