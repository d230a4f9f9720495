package date

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// posixZone is a zone without a table: a name and its distance from UTC.
var posixZone = regexp.MustCompile(`^(?:([A-Za-z]{3,})|<([A-Za-z0-9+-]{1,12})>)([+-]?)(\d{1,2})(?::(\d{2}))?$`)

// location is the zone that TZ names. As with the C library, one that nobody
// knows is UTC.
func location(zone string) *time.Location {
	zone = strings.TrimPrefix(zone, ":")
	if m := posixZone.FindStringSubmatch(zone); m != nil {
		hours, _ := strconv.Atoi(m[4])
		minutes, _ := strconv.Atoi("0" + m[5])
		seconds := -(hours*60 + minutes) * 60 // west is positive there
		if m[3] == "-" {
			seconds = -seconds
		}
		return time.FixedZone(m[1]+m[2], seconds)
	}
	if l, err := time.LoadLocation(zone); err == nil && zone != "Local" {
		return l
	}
	return time.UTC
}

// zones are the names that -d knows, in minutes east of UTC.
var zones = map[string]int{
	"utc": 0, "gmt": 0, "ut": 0, "z": 0, "wet": 0, "west": 60, "bst": 60, "cet": 60, "cest": 120, "met": 60, "mest": 120, "eet": 120, "eest": 180,
	"msk": 180, "ist": 330, "sgt": 480, "jst": 540, "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360,
	"pst": -480, "pdt": -420, "akst": -540, "akdt": -480, "hst": -600,
}
