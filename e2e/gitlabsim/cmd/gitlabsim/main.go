package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/development"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "gitlabsim:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	opts := gitlabsim.Options{}
	flags := flag.NewFlagSet("gitlabsim", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.Addr, "addr", "127.0.0.1:0", "listen address")
	flags.StringVar(&opts.ExternalURL, "external-url", "", "URL jobs and tokens name, default the listen address")
	flags.StringVar(&opts.DataDir, "data-dir", "", "directory of the bare repositories, default a temporary one")
	flags.StringVar(&opts.Tier, "tier", "premium", "free or premium")
	flags.StringVar(&opts.KASTunnelURL, "kas-tunnel-url", "", "server of the generated kubeconfig")
	longPoll := flags.Duration("long-poll", 50*time.Second, "long poll duration, 0 turns it off")
	forDevelopment := flags.Bool("development", false, "start with a project, an agent, a pipeline and tokens that everybody knows")
	exitWithParent := flags.Bool("exit-with-parent", false, "exit when standard input closes")
	verbose := flags.Bool("verbose", false, "log every request")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if opts.LongPoll = *longPoll; *longPoll == 0 {
		opts.LongPoll = -1
	}
	if *forDevelopment {
		// Jobs are numbered on over restarts: what Towline knows it does not run again.
		opts.Fill, opts.FirstJob = development.Fill, time.Now().Unix()
	}
	if *verbose {
		opts.Log = slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s, err := gitlabsim.Start(opts)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(gitlabsim.Info{URL: s.URL()}); err != nil {
		return errors.Join(err, s.Close())
	}
	parentGone := make(chan struct{})
	if *exitWithParent {
		go func() {
			defer close(parentGone)
			_, _ = io.Copy(io.Discard, stdin)
		}()
	}
	select {
	case <-ctx.Done():
	case <-parentGone:
	}
	return s.Close()
}
