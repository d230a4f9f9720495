package agentconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/towline/towline/pkg/strictyaml"
)

// ErrMissing is returned when there is no configuration file at a path.
var ErrMissing = errors.New("no configuration file")

// Loaded is a configuration read from disk.
type Loaded struct {
	Config   *Config
	Notices  []strictyaml.Notice
	Revision string // of the bytes of both files
}

// Load reads path, which is a config.yaml or a directory with one in it, and
// the towline.yaml beside it, if there is one. The files are named in faults as
// path names them.
func Load(path string, opts Options) (*Loaded, error) {
	f, err := ReadFiles(path)
	if err != nil {
		return nil, err
	}
	return load(f, opts)
}

func load(f Files, opts Options) (*Loaded, error) {
	cfg, notices, err := f.Parse(opts)
	if err != nil {
		return nil, err
	}
	return &Loaded{Config: cfg, Notices: notices, Revision: f.Revision()}, nil
}

// ReadFiles reads the files that Load parses.
func ReadFiles(path string) (Files, error) {
	name := path
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(path, FileName)
	}
	content, err := ReadFile(name)
	if err != nil {
		return Files{}, err
	}
	f := Files{Name: name, Content: content}
	f.Towline, err = ReadFile(BesideName(name))
	if err != nil && !errors.Is(err, ErrMissing) {
		return Files{}, err
	}
	return f, nil
}

// ReadFile returns a file's bytes, at most one byte more than MaxFile, which the
// parser then refuses.
func ReadFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w; create the file (it may be empty) or correct the path", name, ErrMissing)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file; give a file or a directory that holds %s", name, FileName)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content, nil
}
