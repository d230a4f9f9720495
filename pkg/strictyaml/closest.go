package strictyaml

import "strings"

// maxCompared bounds the names that are compared letter by letter; GitLab's
// full paths may be longer, but then nobody mistyped them.
const maxCompared = 256

// Closest returns the name of names that word was probably meant to be, or "".
func Closest(word string, names []string) string {
	best, bestDistance := "", max(1, min(len(word)/3, 4))+1
	for _, n := range names {
		if d := distance(strings.ToLower(word), strings.ToLower(n)); d < bestDistance {
			best, bestDistance = n, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove or replace to get from a
// to b; neighbours that changed places count as one.
func distance(a, b string) int {
	if len(a) > maxCompared || len(b) > maxCompared {
		return maxCompared
	}
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(now[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
