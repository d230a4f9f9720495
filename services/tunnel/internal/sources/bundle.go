package sources

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
)

// limits on what an archive unpacks to, chosen or not.
type limits struct {
	entries int
	bytes   int64
}

var usual = limits{entries: 200_000, bytes: 2 << 30}

// Directory is what has to be fetched of a repository for an entry: the longest
// directory that all of its globs begin with, "" for all.
func Directory(m agentconfig.Manifests) string {
	if c := m.Chart; c != nil {
		if hasFiles(c) {
			return ""
		}
		return c.Path
	}
	common := ""
	for i, g := range m.Globs {
		base, _ := doublestar.SplitPattern(g)
		switch {
		case base == ".":
			return ""
		case i == 0:
			common = base
		}
		for common != "" && base != common && !strings.HasPrefix(base, common+"/") {
			common, _ = path.Split(common)
			common = strings.TrimSuffix(common, "/")
		}
	}
	return common
}

// Wanted says whether an entry needs any file of its repository. A release of a
// chart from elsewhere needs none without values in files.
func Wanted(m agentconfig.Manifests) bool {
	return m.Chart == nil || m.Chart.Repository == nil || hasFiles(m.Chart)
}

// hasFiles says whether values of a release are in files.
func hasFiles(c *agentconfig.Chart) bool {
	return slices.ContainsFunc(c.Values, func(v agentconfig.ChartValues) bool { return v.File != "" && !v.Elsewhere() })
}

// File takes one file out of an archive. The error says what is wrong with the
// repository, for its author.
func File(archive []byte, name string) ([]byte, error) {
	files, err := Choose(agentconfig.Manifests{Chart: &agentconfig.Chart{
		Repository: &agentconfig.ChartRepository{}, Values: []agentconfig.ChartValues{{File: name}},
	}}, archive)
	if err != nil {
		return nil, err
	}
	return files[0].Content, nil
}

// Choose takes the files of an entry out of an archive. The error says what is
// wrong with the repository, for its author.
func Choose(m agentconfig.Manifests, archive []byte) ([]syncspec.File, error) {
	return choose(m, archive, usual)
}

func choose(m agentconfig.Manifests, archive []byte, most limits) ([]syncspec.File, error) {
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("the archive of the repository cannot be read: %w", err)
	}
	c := chooser{m: m, seen: map[string]bool{}}
	r := tar.NewReader(&upTo{r: z, limit: most.bytes, left: most.bytes})
	for n := 0; ; n++ {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return c.files, c.complete()
		case err != nil:
			return nil, fmt.Errorf("the archive of the repository cannot be read: %w", err)
		case n == most.entries:
			return nil, fmt.Errorf("the repository has more than %d files and directories", most.entries)
		}
		if err := c.take(h, r); err != nil {
			return nil, err
		}
	}
}

// upTo ends with an error where io.LimitReader would end in silence.
type upTo struct {
	r           io.Reader
	limit, left int64
}

func (b *upTo) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("it unpacks to more than %d bytes", b.limit)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

type chooser struct {
	m     agentconfig.Manifests
	files []syncspec.File
	seen  map[string]bool
	total int
}

// take looks at one entry of the archive. All of them are below one directory
// that GitLab has named.
func (c *chooser) take(h *tar.Header, content io.Reader) error {
	_, name, below := strings.Cut(h.Name, "/")
	if !below || h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if !syncspec.Clean(name) {
		return fmt.Errorf("%q is not a path inside a repository", name)
	}
	chosen, err := syncspec.Chosen(c.m, name)
	if err != nil || !chosen {
		return err
	}
	switch {
	case h.Typeflag == tar.TypeSymlink && c.m.Kustomize != "":
		return nil // a build that needs it says so
	case h.Typeflag != tar.TypeReg:
		return fmt.Errorf("%s is a symbolic link or no regular file; put the file itself there, or narrow the globs", name)
	case c.seen[name]:
		return fmt.Errorf("%s is in the archive twice", name)
	case len(c.files) == syncspec.MaxFiles && c.m.Kustomize != "":
		return fmt.Errorf("more than %d files are chosen; name those that the build needs in kustomize.files", syncspec.MaxFiles)
	case len(c.files) == syncspec.MaxFiles:
		return fmt.Errorf("more than %d files are chosen; narrow the globs, or divide the entry", syncspec.MaxFiles)
	case h.Size > syncspec.MaxFileBytes:
		return fmt.Errorf("%s has %d bytes; the limit for one file is %d", name, h.Size, syncspec.MaxFileBytes)
	case c.total+int(h.Size) > syncspec.MaxBytes:
		return fmt.Errorf("the files that are chosen have more than %d bytes together; narrow the globs, or divide the entry", syncspec.MaxBytes)
	}
	text := make([]byte, h.Size)
	if _, err := io.ReadFull(content, text); err != nil {
		return fmt.Errorf("the archive of the repository cannot be read: %w", err)
	}
	c.seen[name] = true
	c.total += len(text)
	c.files = append(c.files, syncspec.File{Path: name, Content: text})
	return nil
}

// complete refuses an empty choice: it would delete everything, and is a
// mistake far more often than it is meant.
func (c *chooser) complete() error {
	if len(c.files) > 0 {
		return nil
	}
	if c.m.Kustomize != "" && len(c.m.Globs) == 0 {
		return errors.New("the repository has no files")
	}
	if c.m.Chart != nil && c.m.Chart.Repository != nil {
		return errors.New("there is no such file with values")
	}
	if c.m.Chart != nil {
		return fmt.Errorf("the repository has no directory %s with a chart", c.m.Chart.Path)
	}
	return fmt.Errorf("no file matches %s; nothing was changed. To remove everything, keep one file without objects", strings.Join(c.m.Globs, ", "))
}
