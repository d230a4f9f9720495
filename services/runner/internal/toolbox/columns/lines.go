package columns

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// maxLine bounds a line, in bytes.
const maxLine = 16 << 20

// open opens a file of the script; "-" is its standard input.
func open(inv tool.Invocation, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(inv.Stdin), nil
	}
	return os.Open(inv.Path(name))
}

// input reads lines, which end with end.
type input struct {
	ctx context.Context
	r   *bufio.Reader
	end byte
}

// next is the next line without its end, or io.EOF.
func (in *input) next() (string, error) {
	if err := in.ctx.Err(); err != nil {
		return "", err
	}
	var line []byte
	for {
		part, err := in.r.ReadSlice(in.end)
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return "", fmt.Errorf("a line is longer than %d MiB", maxLine>>20)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0:
			return string(line), nil
		case err != nil:
			return "", err
		}
		return strings.TrimSuffix(string(line), string(in.end)), nil
	}
}
