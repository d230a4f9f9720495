package strictyaml

import (
	"slices"
	"strings"
)

// maxCompared bounds the names that are compared letter by letter; GitLab's
// full paths may be longer, but then nobody mistyped them.
const maxCompared = 256

// Closest returns the name of names that word was probably meant to be, or "".
func Closest(word string, names []string) string {
	word = strings.ToLower(word)
	best, bestDistance := "", max(1, min(len(word)/3, 4))+1
	var rows [3][]int
	for _, n := range names {
		if len(n)-len(word) >= bestDistance || len(word)-len(n) >= bestDistance || len(n) > maxCompared {
			continue
		}
		if d := distance(word, strings.ToLower(n), bestDistance, &rows); d < bestDistance {
			best, bestDistance = n, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove or replace to get from a
// to b; neighbours that changed places count as one. From limit on it need not
// be exact, so that only what is near the diagonal is compared. rows is memory
// to be used again.
func distance(a, b string, limit int, rows *[3][]int) int {
	for i := range rows {
		rows[i] = slices.Grow(rows[i][:0], len(b)+1)[:len(b)+1]
	}
	before, last, now := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		from, to := max(1, i-limit), min(len(b), i+limit)
		now[from-1] = i
		if from > 1 {
			now[from-1] = limit
		}
		nearest := now[from-1]
		for j := from; j <= to; j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(now[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
			nearest = min(nearest, now[j])
		}
		if to < len(b) {
			now[to+1] = limit
		}
		if nearest >= limit {
			return limit
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
