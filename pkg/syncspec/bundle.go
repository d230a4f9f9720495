package syncspec

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Limits of a bundle: those that GitLab's agent server had for manifests, and
// more files for kustomize.
const (
	MaxFiles     = 1000
	MaxFileBytes = 5 << 20
	MaxBytes     = 20 << 20
	maxPath      = 4096
)

// File is one file of a repository.
type File struct {
	Path    string // from the repository's root, clean, with slashes
	Content []byte
}

// Pack makes a bundle: the same files give the same bytes.
func Pack(files []File) ([]byte, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for _, f := range files {
		const mode = 0o600
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Size: int64(len(f.Content)), Mode: mode, Format: tar.FormatPAX}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Unpack reads a bundle within the limits.
func Unpack(bundle []byte) ([]File, error) {
	z, err := gzip.NewReader(bytes.NewReader(bundle))
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	var out []File
	total := 0
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
		if h.Typeflag != tar.TypeReg || !Clean(h.Name) {
			return nil, fmt.Errorf("bundle: %q is not a file of a repository", h.Name)
		}
		content, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
		if err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
		total += len(content)
		if len(out) == MaxFiles || len(content) > MaxFileBytes || total > MaxBytes {
			return nil, fmt.Errorf("bundle: over the limits of %d files, %d bytes each and %d bytes together", MaxFiles, MaxFileBytes, MaxBytes)
		}
		out = append(out, File{Path: h.Name, Content: content})
	}
}

// Clean says whether a path is one inside a repository and written in one way
// only.
func Clean(p string) bool {
	return p != "" && len(p) <= maxPath && p == path.Clean(p) && !path.IsAbs(p) && p != "." && p != ".." &&
		!strings.HasPrefix(p, "../") && !strings.ContainsAny(p, "\\\x00")
}

// labelDigest is how much of a digest makes names differ.
const labelDigest = 10

// label makes a name fit for labels and names of objects.
func label(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])[:labelDigest]
}
