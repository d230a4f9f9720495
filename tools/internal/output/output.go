package output

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Created is the time that a build gives to what it makes: SOURCE_DATE_EPOCH, in
// seconds since 1970, or the beginning of 1970 without it.
func Created(getenv func(string) string) (time.Time, error) {
	epoch := getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// Write has fill write a file that everybody may read, beside target, whose
// place it takes when it is whole. After an error target is as it was.
func Write(target string, fill func(io.Writer) error) error {
	out, err := os.CreateTemp(filepath.Dir(target), ".output-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }() // not there any more when all went well
	if err := errors.Join(fill(out), out.Chmod(0o644), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), target)
}
