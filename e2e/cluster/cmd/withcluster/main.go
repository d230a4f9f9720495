package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/towline/towline/e2e/cluster"
)

// exitFailed is the exit code for withcluster's own failures, out of the way of
// most commands' codes.
const exitFailed = 125

func main() {
	code, err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "withcluster:", err)
	}
	os.Exit(code)
}

// options are the flags and the command.
type options struct {
	buildOnly bool
	kubectl   bool
	dir       string
	log       string
	command   []string
}

// run does what the program is for and returns its exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	opts, err := parseOptions(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	}
	if err != nil {
		return exitFailed, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	kubectl, err := build(ctx, opts, stdout, stderr)
	if err != nil {
		return exitFailed, err
	}
	if opts.buildOnly {
		return 0, nil
	}
	started := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{Dir: opts.dir, Log: opts.log, Progress: stderr})
	if err != nil {
		return exitFailed, err
	}
	if path := os.Getenv(cluster.EnvKubeconfig); path != "" {
		fmt.Fprintf(stderr, "withcluster: using the cluster of %s\n", path)
	} else {
		fmt.Fprintf(stderr, "withcluster: control plane ready in %v\n", time.Since(started).Round(10*time.Millisecond))
	}

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	stop() // from here on signals are the command's business
	code, err := runCommand(opts.command, environment(c.Kubeconfig(), kubectl), signals, stdin, stdout, stderr)
	if stopErr := c.Stop(); stopErr != nil {
		err = errors.Join(err, stopErr)
		if code == 0 {
			code = exitFailed
		}
	}
	return code, err
}

// build makes sure that the programs are in the cache. It returns kubectl's path
// if that is wanted, and prints the paths if nothing else is to be done.
func build(ctx context.Context, opts *options, stdout, stderr io.Writer) (kubectl string, err error) {
	if opts.buildOnly || os.Getenv(cluster.EnvKubeconfig) == "" {
		path, err := cluster.Binary(ctx, stderr)
		if err != nil {
			return "", err
		}
		if opts.buildOnly {
			fmt.Fprintln(stdout, path)
		}
	}
	if !opts.kubectl {
		return "", nil
	}
	if kubectl, err = cluster.Kubectl(ctx, stderr); err != nil {
		return "", err
	}
	if opts.buildOnly {
		fmt.Fprintln(stdout, kubectl)
	}
	return kubectl, nil
}

// environment is what the command gets: the cluster's kubeconfig and, with
// --kubectl, a kubectl that talks to it.
func environment(kubeconfig, kubectl string) []string {
	env := append(os.Environ(), cluster.EnvKubeconfig+"="+kubeconfig)
	if kubectl != "" {
		path := filepath.Dir(kubectl) + string(os.PathListSeparator) + os.Getenv("PATH")
		env = append(env, "KUBECONFIG="+kubeconfig, "PATH="+path)
	}
	return env
}

func parseOptions(args []string, usage io.Writer) (*options, error) {
	opts := &options{}
	fs := flag.NewFlagSet("withcluster", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&opts.buildOnly, "build-only", false, "build and cache the programs, print their paths, start nothing")
	fs.BoolVar(&opts.kubectl, "kubectl", false, "also build kubectl; the command finds it on its PATH, with KUBECONFIG set")
	fs.StringVar(&opts.dir, "dir", "", "`directory` to keep the cluster's data in; default: a temporary one")
	fs.StringVar(&opts.log, "log", "", "`file` to append the components' logs to; default: they are discarded")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(usage)
			fmt.Fprintln(usage, "usage: withcluster [flags] -- COMMAND [ARGS...]\n       withcluster --build-only [--kubectl]")
			fs.PrintDefaults()
		}
		return nil, err
	}
	opts.command = fs.Args()
	switch {
	case opts.buildOnly && len(opts.command) > 0:
		return nil, errors.New("--build-only takes no command")
	case !opts.buildOnly && len(opts.command) == 0:
		return nil, errors.New("no command given; see --help")
	}
	return opts, nil
}
