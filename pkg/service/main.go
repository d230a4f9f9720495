package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// RunFunc is a whole service. It returns when ctx ends, and then nil; any error
// it returns ends the process with status 1, or with that of its Status.
type RunFunc func(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error

// Status is an error that ends the process with an exit status of its own. Err
// is printed; nil when everything has been said already.
type Status struct {
	Code int
	Err  error
}

// Error is the text of Err.
func (s Status) Error() string {
	if s.Err == nil {
		return fmt.Sprintf("exit status %d", s.Code)
	}
	return s.Err.Error()
}

// Unwrap is Err.
func (s Status) Unwrap() error { return s.Err }

// Main runs a service until it ends or SIGTERM or SIGINT arrives, and returns
// the exit status. A second signal kills the process at once. With --version
// alone it prints the version instead.
func Main(name string, run RunFunc) int {
	if len(os.Args) == 2 && (os.Args[1] == "--version" || os.Args[1] == "-version") {
		fmt.Fprintln(os.Stdout, name, Version)
		return 0
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	first := make(chan os.Signal, 1)
	signal.Notify(first, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-first
		signal.Stop(first) // before the stop begins: the next signal kills
		cancel()
	}()
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	var status Status
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &status):
		if status.Err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		}
		return status.Code
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
}
