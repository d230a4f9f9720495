package recency

import (
	"cmp"
	"os"
	"slices"
	"time"
)

// Use notes that a file or directory is used now.
func Use(path string) error {
	now := time.Now()
	return os.Chtimes(path, now, now)
}

// List names the entries of a directory, the last used first. What is neither a
// file nor a directory comes last, whenever it was changed.
func List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	used := map[string]time.Time{}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
		if info, err := e.Info(); err == nil && (e.IsDir() || e.Type().IsRegular()) {
			used[e.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(used[b].Compare(used[a]), cmp.Compare(a, b))
	})
	return names, nil
}
