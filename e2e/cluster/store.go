package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

const (
	lockFile        = "lock"
	unfinished      = "unfinished-"
	lockPollEvery   = 200 * time.Millisecond
	lockReportEvery = 30 * time.Second
)

// store is a folder with the newest builds of one program, each in a folder
// named by its key. Processes share it through a file lock; a build is visible
// only when it is complete.
type store struct {
	dir  string
	name string // of the file in each build's folder
}

// get returns the path of the build with the given key. When there is none it
// calls build to write the file.
func (s store) get(ctx context.Context, key string, progress io.Writer, build func(ctx context.Context, output string) error) (string, error) {
	if s.has(key) {
		return s.path(key), nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return "", fmt.Errorf("cache of %s: %w", s.name, err)
	}
	unlock, err := s.lock(ctx, progress)
	if err != nil {
		return "", fmt.Errorf("cache of %s: %w", s.name, err)
	}
	defer unlock()
	if s.has(key) { // built by the one we waited for
		return s.path(key), nil
	}
	s.removeUnfinished()
	temporary, err := os.MkdirTemp(s.dir, unfinished)
	if err != nil {
		return "", fmt.Errorf("cache of %s: %w", s.name, err)
	}
	defer os.RemoveAll(temporary)
	if err := build(ctx, filepath.Join(temporary, s.name)); err != nil {
		return "", err
	}
	if err := os.Rename(temporary, filepath.Join(s.dir, key)); err != nil {
		return "", fmt.Errorf("cache of %s: %w", s.name, err)
	}
	if !s.has(key) { // which also marks it as the one used last
		return "", fmt.Errorf("cache of %s: the build left no file %s", s.name, s.path(key))
	}
	s.prune()
	return s.path(key), nil
}

func (s store) path(key string) string { return filepath.Join(s.dir, key, s.name) }

// has tells whether the build exists, and marks it as used, so that prune keeps
// what is in use.
func (s store) has(key string) bool {
	if _, err := os.Stat(s.path(key)); err != nil {
		return false
	}
	now := time.Now()
	_ = os.Chtimes(filepath.Join(s.dir, key), now, now) // worst case: built again one day
	return true
}

// lock waits for the store's file lock. The kernel releases it when the holder
// dies, so a killed build never blocks the next one.
func (s store) lock(ctx context.Context, progress io.Writer) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(s.dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	poll := time.NewTicker(lockPollEvery)
	defer poll.Stop()
	var reported time.Time
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("lock: %w", err)
		}
		if time.Since(reported) >= lockReportEvery {
			reported = time.Now()
			fmt.Fprintf(progress, "waiting for another process that builds %s...\n", s.name)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, context.Cause(ctx)
		case <-poll.C:
		}
	}
}

// removeUnfinished clears what killed builds left. The caller holds the lock.
func (s store) removeUnfinished() {
	left, _ := filepath.Glob(filepath.Join(s.dir, unfinished+"*"))
	for _, path := range left {
		_ = os.RemoveAll(path)
	}
}

// prune removes all but the builds used last. A process that runs a removed one
// is not disturbed. The caller holds the lock.
func (s store) prune() {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	var builds []fs.FileInfo
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.IsDir() && !strings.HasPrefix(info.Name(), unfinished) {
			builds = append(builds, info)
		}
	}
	sort.Slice(builds, func(i, j int) bool { return builds[i].ModTime().After(builds[j].ModTime()) })
	for i, build := range builds {
		if i >= keepBuilds {
			_ = os.RemoveAll(filepath.Join(s.dir, build.Name()))
		}
	}
}
