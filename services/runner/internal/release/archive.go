package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/towline/towline/services/runner/internal/egress"
)

// unpack reads a packed chart of at most limit bytes. The names of its files
// are without the chart's own directory.
func unpack(packed io.Reader, limit int64) (chartFiles, error) {
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		return nil, errors.New("it is not a packed chart")
	}
	over := fmt.Errorf("%w: it is larger than %d MiB unpacked", ErrLimit, maxChartBytes>>20)
	archive := tar.NewReader(egress.Bound(unzipped, limit+maxChartFiles*1024, over)) // and the headers
	var files chartFiles
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			if len(files) == 0 {
				return nil, errors.New("there are no files in it")
			}
			return files, nil
		case err != nil:
			return nil, err
		case header.Typeflag != tar.TypeReg:
			continue // directories come with their files, and links are not followed
		case len(files) >= maxChartFiles:
			return nil, fmt.Errorf("%w: more than %d files", ErrLimit, maxChartFiles)
		case header.Size > maxChartFile:
			return nil, fmt.Errorf("%w: %q is larger than %d MiB", ErrLimit, header.Name, maxChartFile>>20)
		}
		name, err := nameInChart(header.Name)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if limit -= int64(len(text)); limit < 0 {
			return nil, over
		}
		files = append(files, &loader.BufferedFile{Name: name, Data: bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))})
	}
}

// nameInChart is the name of a packed file without the directory of the chart.
func nameInChart(name string) (string, error) {
	full := strings.ReplaceAll(name, `\`, "/")
	_, inside, ok := strings.Cut(full, "/")
	clean := path.Clean(inside)
	if !ok || path.IsAbs(full) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") || path.IsAbs(clean) || strings.Contains(clean, ":/") {
		return "", fmt.Errorf("the file %q is not inside the chart's directory", name)
	}
	return clean, nil
}
