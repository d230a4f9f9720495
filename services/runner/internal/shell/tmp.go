package shell

import (
	"context"
	"io/fs"

	"mvdan.cc/sh/v3/interp"

	"github.com/towline/towline/services/runner/internal/toolbox/tmpdir"
)

// What the shell itself looks at below /tmp is below the job's own as well.

func (s *session) tmp() tmpdir.Dir { return s.shell.tools.Tmp() }

var (
	statReal    = interp.DefaultStatHandler()
	readDirReal = interp.DefaultReadDirHandler2()
	accessReal  = interp.DefaultAccessHandler()
)

func (s *session) stat(ctx context.Context, name string, followSymlinks bool) (fs.FileInfo, error) {
	return statReal(ctx, s.tmp().Path(name), followSymlinks)
}

func (s *session) readDir(ctx context.Context, path string) ([]fs.DirEntry, error) {
	return readDirReal(ctx, s.tmp().Path(path))
}

func (s *session) access(ctx context.Context, path string, mode interp.AccessMode) error {
	return accessReal(ctx, s.tmp().Path(path), mode)
}
