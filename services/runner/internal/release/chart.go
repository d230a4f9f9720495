package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/ignore"
)

// Limits on a chart. What ends up in a release record must fit into one Secret,
// so they are generous.
const (
	maxChartFiles = 10_000
	maxChartBytes = 32 << 20 // of all files, those of packed dependencies unpacked
	maxChartFile  = 5 << 20
	maxChartDepth = 20 // directories below each other, and packed charts inside each other
)

// chartFiles are the files of one chart.
type chartFiles []*loader.BufferedFile

// sorted returns the files by name.
func (c chartFiles) sorted() chartFiles {
	return slices.SortedFunc(slices.Values(c), func(a, b *loader.BufferedFile) int { return strings.Compare(a.Name, b.Name) })
}

// load makes a chart of the files, and refuses what cannot be installed.
func (c chartFiles) load() (*chart.Chart, error) {
	left := int64(maxChartBytes)
	if err := measure(c, &left, 0); err != nil {
		return nil, err
	}
	ch, err := loader.LoadFiles(c)
	if err != nil {
		return nil, err
	}
	if kind := ch.Metadata.Type; kind != "" && kind != "application" {
		return nil, fmt.Errorf("it is a %s chart, which cannot be installed", kind)
	}
	if err := action.CheckDependencies(ch, ch.Metadata.Dependencies); err != nil {
		return nil, fmt.Errorf("%w; commit the charts directory that `helm dependency update` makes", err)
	}
	return ch, nil
}

// measure takes the sizes of files from left, those of packed charts unpacked:
// the library itself would unpack 100 MiB of each.
func measure(files chartFiles, left *int64, depth int) error {
	if depth > maxChartDepth {
		return fmt.Errorf("%w: charts are packed more than %d times inside each other", ErrLimit, maxChartDepth)
	}
	for _, f := range files {
		if *left -= int64(len(f.Data)); *left < 0 {
			return fmt.Errorf("%w: the files are larger than %d MiB together", ErrLimit, maxChartBytes>>20)
		}
		if dir, base := path.Split(f.Name); strings.HasSuffix(dir, "charts/") && path.Ext(base) == ".tgz" {
			inner, err := unpack(bytes.NewReader(f.Data), *left)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
			if err := measure(inner, left, depth+1); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	return nil
}

// fetch gets the files of the chart.
func (r *run) fetch(ctx context.Context) (files chartFiles, err error) {
	if d := r.spec.Chart.Directory; d != nil {
		files, err = readDirectory(d)
	} else {
		files, err = r.fetchRepository(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("release %s: chart %s: %w", r.spec.ID(), r.chartName(), err)
	}
	return files, nil
}

// walk reads a chart's directory.
type walk struct {
	root  *os.Root
	rules *ignore.Rules
	files chartFiles
	left  int64
}

// readDirectory reads a chart as `helm install DIRECTORY` would: links are
// followed and .helmignore is heeded. Links may not leave the root.
func readDirectory(d *Directory) (chartFiles, error) {
	root, err := os.OpenRoot(d.Root)
	if err != nil {
		return nil, errors.New("the checkout cannot be read")
	}
	defer root.Close()
	dir := path.Clean(strings.TrimPrefix(d.Path, "/"))
	if _, err := root.Stat(path.Join(dir, "Chart.yaml")); err != nil {
		return nil, fmt.Errorf("there is no Chart.yaml in it: %w", pathless(err))
	}
	w := &walk{root: root, rules: ignore.Empty(), left: maxChartBytes}
	if text, err := w.read(path.Join(dir, ignore.HelmIgnore)); err == nil {
		if w.rules, err = ignore.Parse(bytes.NewReader(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", ignore.HelmIgnore, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", ignore.HelmIgnore, err)
	}
	w.rules.AddDefaults()
	if err := w.directory(dir, "", 0); err != nil {
		return nil, err
	}
	return w.files, nil
}

// directory reads what is in dir; inChart is its name in the chart.
func (w *walk) directory(dir, inChart string, depth int) error {
	if depth > maxChartDepth {
		return fmt.Errorf("%w: %s is more than %d directories deep; a link may lead in a circle", ErrLimit, inChart, maxChartDepth)
	}
	f, err := w.root.Open(dir)
	if err != nil {
		return pathless(err)
	}
	defer f.Close()
	entries, err := f.ReadDir(maxChartFiles + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return pathless(err)
	}
	for _, entry := range entries {
		if err := w.entry(path.Join(dir, entry.Name()), path.Join(inChart, entry.Name()), depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(name, inChart string, depth int) error {
	info, err := w.root.Stat(name) // of what a link leads to
	if err != nil {
		return fmt.Errorf("%s: %w", inChart, pathless(err))
	}
	if w.rules.Ignore(inChart, info) {
		return nil
	}
	if info.IsDir() {
		return w.directory(name, inChart, depth+1)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", inChart)
	}
	if len(w.files) >= maxChartFiles {
		return fmt.Errorf("%w: more than %d files", ErrLimit, maxChartFiles)
	}
	text, err := w.read(name)
	if err != nil {
		return fmt.Errorf("%s: %w", inChart, err)
	}
	w.files = append(w.files, &loader.BufferedFile{Name: inChart, Data: bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))})
	return nil
}

// read reads one file within the limits.
func (w *walk) read(name string) ([]byte, error) {
	f, err := w.root.Open(name)
	if err != nil {
		return nil, pathless(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxChartFile+1))
	switch {
	case err != nil:
		return nil, pathless(err)
	case len(text) > maxChartFile:
		return nil, fmt.Errorf("%w: a file is larger than %d MiB", ErrLimit, maxChartFile>>20)
	}
	if w.left -= int64(len(text)); w.left < 0 {
		return nil, fmt.Errorf("%w: the files are larger than %d MiB together", ErrLimit, maxChartBytes>>20)
	}
	return text, nil
}

// pathless takes the places of this machine out of an error.
func pathless(err error) error {
	if p := new(fs.PathError); errors.As(err, &p) {
		return p.Err
	}
	return err
}
