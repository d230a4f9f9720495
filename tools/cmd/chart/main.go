package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/towline/towline/tools/internal/output"
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
	o := &options{}
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
	var err error
	if o.created, err = output.Created(getenv); err != nil {
		return nil, err
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

// write writes a file, and makes its directory.
func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // G301: build output, for everybody
		return err
	}
	return output.Write(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}
