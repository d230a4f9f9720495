package succession

import (
	"slices"
	"time"
)

// Settle is how long a new key is known before it is used: kubelets bring a
// changed Secret to their pods within about a minute and a half.
const Settle = 3 * time.Minute

// Line is keys that follow one another. The zero Line has none. It is not safe
// for concurrent use.
type Line[K any] struct {
	newest, inUse K
	since         time.Time // when the newest was first seen; zero while there is none
}

// Put says which keys there are now, at least one, the newest first; same tells
// whether two are the same key. The one that was in use goes on until the newest
// has settled, if it is still there.
func (l *Line[K]) Put(keys []K, same func(a, b K) bool) {
	first, before := l.since.IsZero(), l.InUse()
	if first || !same(l.newest, keys[0]) {
		l.since = time.Now()
	}
	l.newest, l.inUse = keys[0], keys[0]
	if first {
		return
	}
	if i := slices.IndexFunc(keys, func(k K) bool { return same(k, before) }); i >= 0 {
		l.inUse = keys[i]
	}
}

// InUse is the key to use now.
func (l *Line[K]) InUse() K {
	if time.Since(l.since) >= Settle {
		l.inUse = l.newest
	}
	return l.inUse
}
