package archive

import (
	"context"
	"fmt"
	"io"
)

// Limits bound one archive, in both directions.
type Limits struct {
	Content int64 // bytes of all files together, unpacked
	Archive int64 // bytes of the archive itself
	Entries int   // files, directories and links
}

// Limits of what jobs exchange. GitLab has limits of its own, which are
// smaller by default and answer 413.
var (
	UploadLimits   = Limits{Content: 1 << 30, Archive: 1 << 30, Entries: 200_000}
	DownloadLimits = Limits{Content: 4 << 30, Archive: 1 << 30, Entries: 200_000}
)

// Limits that are the same for every archive.
const (
	maxName    = 4096 // bytes of a whole name
	maxElement = 255  // bytes between two slashes
	maxDepth   = 128  // directories above an entry
	maxTarget  = 4096 // bytes of a link's target
	maxVisited = 2_000_000
	// An archive that grows beyond ratioFloor must not have grown by more than
	// maxRatio: what does is made to fill the disk.
	ratioFloor = 256 << 20
	maxRatio   = 200
	// maxDirectory bounds what the table of contents of a zip may take.
	maxDirectory = 48 << 20
	// maxWindow bounds the memory that unpacking zstd takes.
	maxWindow = 64 << 20
)

// Log takes the lines that people read.
type Log interface {
	Raw(text string)
	Warn(text string)
}

// Size writes a number of bytes for people.
func Size(n int64) string {
	const unit = 1024
	switch {
	case n >= unit*unit*unit:
		return fmt.Sprintf("%.1f GiB", float64(n)/(unit*unit*unit))
	case n >= unit*unit:
		return fmt.Sprintf("%.1f MiB", float64(n)/(unit*unit))
	case n >= unit:
		return fmt.Sprintf("%.1f KiB", float64(n)/unit)
	}
	return fmt.Sprintf("%d bytes", n)
}

// boundedWriter ends an archive that grows over its limit.
type boundedWriter struct {
	w    io.Writer
	left int64
	max  int64
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		return 0, fmt.Errorf("the archive is larger than %s: store less", Size(b.max))
	}
	n, err := b.w.Write(p)
	b.left -= int64(n)
	return n, err
}

// withContext reads until ctx ends.
type withContext struct {
	ctx context.Context
	r   io.Reader
}

func (c withContext) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
