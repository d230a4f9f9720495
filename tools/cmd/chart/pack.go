package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"slices"
	"time"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

// pkg is a packaged chart.
type pkg struct {
	name, version string
	archive       []byte
	signed        []byte // the signature; nil without one
}

// file is the package's name as Helm expects it.
func (p *pkg) file() string { return p.name + "-" + p.version + ".tgz" }

// makePackage packs what .helmignore leaves of a chart's directory, sorted and
// dated at. What comes out is read again as Helm reads it.
func makePackage(dir string, at time.Time) (*pkg, error) {
	c, err := loader.LoadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", dir, err)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("chart %s: %w", dir, err)
	}
	archive, err := pack(c, at)
	if err != nil {
		return nil, err
	}
	if _, err := loader.LoadArchive(bytes.NewReader(archive)); err != nil {
		return nil, fmt.Errorf("the package cannot be read: %w", err)
	}
	return &pkg{name: c.Name(), version: c.Metadata.Version, archive: archive}, nil
}

func pack(c *helmchart.Chart, at time.Time) ([]byte, error) {
	files := slices.SortedFunc(slices.Values(c.Raw), func(a, b *helmchart.File) int { return cmp.Compare(a.Name, b.Name) })
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(zip)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: c.Name() + "/" + f.Name, Mode: 0o644, Size: int64(len(f.Data)), ModTime: at, Format: tar.FormatPAX}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
