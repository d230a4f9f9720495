package unified

// maxCost bounds how long the shortest difference of one region is looked for;
// regions that differ more are shown as replaced.
const maxCost = 4096

// comparison looks for the lines that two texts share, with Eugene Myers'
// algorithm in linear space ("An O(ND) Difference Algorithm and Its
// Variations", 1986).
type comparison struct {
	a, b           []int // lines by number: equal lines have equal numbers
	removed, added []bool
	forth, back    []int // furthest reaching points by diagonal, both ways
}

// changes marks the lines of a that are not in b and the reverse.
func changes(a, b []string) (removed, added []bool) {
	numbers := map[string]int{}
	number := func(lines []string) []int {
		out := make([]int, len(lines))
		for i, l := range lines {
			n, ok := numbers[l]
			if !ok {
				n = len(numbers)
				numbers[l] = n
			}
			out[i] = n
		}
		return out
	}
	size := 2*(len(a)+len(b)) + 4
	c := &comparison{
		a: number(a), b: number(b),
		removed: make([]bool, len(a)), added: make([]bool, len(b)),
		forth: make([]int, size), back: make([]int, size),
	}
	c.region(0, len(a), 0, len(b))
	slide(c.a, c.removed, c.added)
	slide(c.b, c.added, c.removed)
	return c.removed, c.added
}

// region compares a[a0:a1] with b[b0:b1].
func (c *comparison) region(a0, a1, b0, b1 int) {
	for a0 < a1 && b0 < b1 && c.a[a0] == c.b[b0] {
		a0++
		b0++
	}
	for a0 < a1 && b0 < b1 && c.a[a1-1] == c.b[b1-1] {
		a1--
		b1--
	}
	x, y, ok := 0, 0, false
	if a0 < a1 && b0 < b1 {
		x, y, ok = c.middle(a0, a1, b0, b1)
	}
	if !ok {
		for i := a0; i < a1; i++ {
			c.removed[i] = true
		}
		for j := b0; j < b1; j++ {
			c.added[j] = true
		}
		return
	}
	c.region(a0, x, b0, y)
	c.region(x, a1, y, b1)
}

// middle is a point on a shortest way from one corner to the other. It is not
// ok when there is none within maxCost.
func (c *comparison) middle(a0, a1, b0, b1 int) (x, y int, ok bool) {
	n, m := a1-a0, b1-b0
	zero := len(c.b) + 1 + len(c.a) // index of diagonal 0 in both directions
	delta := n - m
	odd := delta%2 != 0
	c.forth[zero+1], c.back[zero+1] = 0, 0
	for d := 0; d <= min((n+m+1)/2, maxCost); d++ {
		for k := -d; k <= d; k += 2 {
			x := along(step(c.forth, zero, k, d), k, n, m, func(x, y int) bool { return c.a[a0+x] == c.b[b0+y] })
			c.forth[zero+k] = x
			if r := delta - k; odd && r >= -(d-1) && r <= d-1 && x+c.back[zero+r] >= n {
				return c.inside(a0, a1, b0, b1, x, x-k)
			}
		}
		for k := -d; k <= d; k += 2 {
			x := along(step(c.back, zero, k, d), k, n, m, func(x, y int) bool { return c.a[a1-1-x] == c.b[b1-1-y] })
			c.back[zero+k] = x
			if r := delta - k; !odd && r >= -d && r <= d && x+c.forth[zero+r] >= n {
				return c.inside(a0, a1, b0, b1, n-x, m-x+k)
			}
		}
	}
	return 0, 0, false
}

// along follows diagonal k from x while the lines are equal, in a region of n
// and m lines.
func along(x, k, n, m int, equal func(x, y int) bool) int {
	for x < n && x-k < m && x-k >= 0 && equal(x, x-k) {
		x++
	}
	return x
}

// step is where diagonal k starts in round d.
func step(v []int, zero, k, d int) int {
	if k == -d || k != d && v[zero+k-1] < v[zero+k+1] {
		return v[zero+k+1]
	}
	return v[zero+k-1] + 1
}

// inside refuses a point that would not make the region smaller.
func (c *comparison) inside(a0, a1, b0, b1, x, y int) (int, int, bool) {
	x, y = a0+x, b0+y
	if x < a0 || x > a1 || y < b0 || y > b1 || x == a0 && y == b0 || x == a1 && y == b1 {
		return 0, 0, false
	}
	return x, y, true
}

// slide moves runs of changes that could stand at several places as far down as
// they go, which is where diff and git show them: after a block that is like
// the new one, not in the middle of it.
func slide(lines []int, marked, other []bool) {
	j := 0 // line of the other text that corresponds to i
	for i := 0; i < len(lines); {
		if !marked[i] {
			i++
			j = past(other, j) + 1
			continue
		}
		start := i
		i = past(marked, i)
		if j < len(other) && other[j] {
			continue // a replacement stays beside what it replaces
		}
		for i < len(lines) && !marked[i] && lines[start] == lines[i] && (j >= len(other) || !other[j]) {
			marked[start], marked[i] = false, true
			start++
			i = past(marked, i+1)
			j++
		}
	}
}

// past is the end of a run of marks.
func past(marked []bool, i int) int {
	for i < len(marked) && marked[i] {
		i++
	}
	return i
}
