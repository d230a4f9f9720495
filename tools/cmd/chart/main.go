package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/tools/internal/repository"
)

func main() {
	if err := run(os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// options are what the command line and SOURCE_DATE_EPOCH say.
type options struct {
	chart, out, push string
	sign             signature
	created          time.Time
}

func parse(args []string, getenv func(string) string) (*options, error) {
	o := &options{created: time.Unix(0, 0).UTC()}
	fs := flag.NewFlagSet("chart", flag.ContinueOnError)
	fs.StringVar(&o.chart, "chart", filepath.Join("charts", "towline"), "`directory` of the chart, relative to the repository")
	fs.StringVar(&o.out, "out", filepath.Join("bin", "chart"), "`directory` for the package, relative to the repository")
	fs.StringVar(&o.push, "push", "", "`registry`/path to push the package to as well, with the credentials of helm registry login or docker login")
	fs.StringVar(&o.sign.key, "key", "", "`name` of the key to sign with, or a part of it; empty: not signed")
	fs.StringVar(&o.sign.keyring, "keyring", "", "`file` with that secret key, made by: gpg --export-secret-keys")
	fs.StringVar(&o.sign.passphraseFile, "passphrase-file", "", "`file` with the key's passphrase, where it has one")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if (o.sign.key == "") != (o.sign.keyring == "") {
		return nil, errors.New("--key and --keyring belong together: name the key and the file it is in")
	}
	if epoch := getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		o.created = time.Unix(seconds, 0).UTC()
	}
	return o, nil
}

func run(args []string, getenv func(string) string, progress io.Writer) error {
	o, err := parse(args, getenv)
	if err != nil {
		return err
	}
	root, err := repository.Root()
	if err != nil {
		return err
	}
	for _, dir := range []*string{&o.chart, &o.out} {
		if !filepath.IsAbs(*dir) {
			*dir = filepath.Join(root, *dir)
		}
	}
	p, err := makePackage(o.chart, o.created)
	if err != nil {
		return err
	}
	file := filepath.Join(o.out, p.file())
	if err := write(file, p.archive); err != nil {
		return err
	}
	shown := strings.TrimPrefix(file, root+string(filepath.Separator))
	fmt.Fprintf(progress, "%s sha256:%x\n", shown, sha256.Sum256(p.archive))
	if o.sign.key != "" {
		if p.signed, err = o.sign.of(file); err != nil {
			return fmt.Errorf("sign %s: %w", p.file(), err)
		}
		if err := write(file+".prov", p.signed); err != nil {
			return err
		}
		fmt.Fprintf(progress, "%s.prov\n", shown)
	}
	if o.push == "" {
		return nil
	}
	pushed, err := p.push(o.push, o.created)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "pushed %s\n", pushed)
	return nil
}

// write writes a file in one step, for everybody to read.
func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // G301: build output, for everybody
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(path), ".chart-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }() // not there any more when all went well
	_, err = io.Copy(out, bytes.NewReader(content))
	if err := errors.Join(err, out.Chmod(0o644), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), path)
}
