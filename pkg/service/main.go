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
// it returns ends the process with status 1.
type RunFunc func(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error

// Main runs a service until it ends or SIGTERM or SIGINT arrives, and returns
// the exit status. A second signal kills the process at once.
func Main(name string, run RunFunc) int {
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
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 0
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
}
