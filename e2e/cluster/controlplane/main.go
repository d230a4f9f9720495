package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	stderr := os.Stderr // run points os.Stderr at the log
	// A parent that was killed no longer reads our output. A late word on stdout
	// or stderr must not end the process before it has cleaned up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(stderr, "controlplane:", err)
		os.Exit(1)
	}
}

// options are the program's flags.
type options struct {
	dataDir        string
	kubeconfig     string
	logFile        string
	exitWithParent bool
	readyTimeout   time.Duration
}

// readyLine is the one line printed on stdout when the plane can be used.
type readyLine struct {
	Ready      bool   `json:"ready"`
	Kubeconfig string `json:"kubeconfig"`
	Server     string `json:"server"`
	TookMS     int64  `json:"took_ms"`
}

// run starts a control plane, announces it on out, and blocks until ctx is done
// (or in ends, with --exit-with-parent) or the plane fails.
func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	started := time.Now()
	opts, err := parseOptions(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if opts.exitWithParent {
		ctx = untilEnd(ctx, in)
	}
	logs, err := openLogs(opts.logFile)
	if err != nil {
		return err
	}
	return runPlane(ctx, opts, logs, func(server string) error {
		return json.NewEncoder(out).Encode(readyLine{
			Ready:      true,
			Kubeconfig: opts.kubeconfig,
			Server:     server,
			TookMS:     time.Since(started).Milliseconds(),
		})
	})
}

// untilEnd derives a context that also ends when in does. A parent that holds
// the other end of a pipe needs no signal handler for that: the kernel closes
// the pipe however the parent dies.
func untilEnd(ctx context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, in) // an unreadable stdin counts as ended
		cancel()
	}()
	return ctx
}

func parseOptions(args []string, usage io.Writer) (*options, error) {
	opts := &options{}
	fs := flag.NewFlagSet("controlplane", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&opts.dataDir, "data-dir", "", "`directory` for etcd, keys and certificates; default: a temporary one, removed at the end")
	fs.StringVar(&opts.kubeconfig, "kubeconfig", "", "`file` to write the administrator's kubeconfig to; default: admin.kubeconfig in the data directory")
	fs.StringVar(&opts.logFile, "log-file", "", "`file` to append the components' logs to; default: they are discarded")
	fs.BoolVar(&opts.exitWithParent, "exit-with-parent", false, "stop when stdin ends")
	fs.DurationVar(&opts.readyTimeout, "ready-timeout", 2*time.Minute, "give up when the plane is not ready after this time")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(usage)
		fmt.Fprintln(usage, "usage: controlplane [flags]")
		fs.PrintDefaults()
		return nil, err
	case err != nil:
		return nil, err
	case fs.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case opts.readyTimeout <= 0:
		return nil, fmt.Errorf("--ready-timeout must be positive, got %v", opts.readyTimeout)
	}
	return opts, nil
}
