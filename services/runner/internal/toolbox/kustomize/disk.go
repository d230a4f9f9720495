package kustomize

import (
	"io/fs"
	"path/filepath"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// disk is the file system as a script in directory dir sees it: kustomize's
// libraries know no other directory than that of the process.
type disk struct {
	filesys.FileSystem
	dir string
}

func newDisk(dir string) filesys.FileSystem { return disk{filesys.MakeFsOnDisk(), dir} }

func (d disk) at(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}

func (d disk) Create(path string) (filesys.File, error) { return d.FileSystem.Create(d.at(path)) }
func (d disk) Mkdir(path string) error                  { return d.FileSystem.Mkdir(d.at(path)) }
func (d disk) MkdirAll(path string) error               { return d.FileSystem.MkdirAll(d.at(path)) }
func (d disk) RemoveAll(path string) error              { return d.FileSystem.RemoveAll(d.at(path)) }
func (d disk) Open(path string) (filesys.File, error)   { return d.FileSystem.Open(d.at(path)) }
func (d disk) IsDir(path string) bool                   { return d.FileSystem.IsDir(d.at(path)) }
func (d disk) ReadDir(path string) ([]string, error)    { return d.FileSystem.ReadDir(d.at(path)) }
func (d disk) Exists(path string) bool                  { return d.FileSystem.Exists(d.at(path)) }
func (d disk) ReadFile(path string) ([]byte, error)     { return d.FileSystem.ReadFile(d.at(path)) }
func (d disk) WriteFile(path string, text []byte) error {
	return d.FileSystem.WriteFile(d.at(path), text)
}

func (d disk) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	return d.FileSystem.CleanedAbs(d.at(path))
}

// Glob answers as it was asked: relative patterns match relative paths.
func (d disk) Glob(pattern string) ([]string, error) {
	found, err := d.FileSystem.Glob(d.at(pattern))
	if err != nil || filepath.IsAbs(pattern) {
		return found, err
	}
	for i := range found {
		if found[i], err = filepath.Rel(d.dir, found[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Walk goes through relative paths when it starts at one.
func (d disk) Walk(path string, fn filepath.WalkFunc) error {
	if filepath.IsAbs(path) {
		return d.FileSystem.Walk(path, fn)
	}
	return d.FileSystem.Walk(d.at(path), func(at string, info fs.FileInfo, err error) error {
		name, relErr := filepath.Rel(d.dir, at)
		if relErr != nil {
			return relErr
		}
		return fn(name, info, err)
	})
}
