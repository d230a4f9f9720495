package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	project := flags.String("project", "e2e/demo/project", "directory of the project to run")
	keep := flags.Bool("keep", false, "keep everything running until interrupted")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, err := os.Stat(*project); err != nil {
		return fmt.Errorf("--project: %w (run this at the top of the repository)", err)
	}
	if _, err := exec.LookPath("git"); err != nil {
		return errors.New("git is not installed; install it with: apt-get install git")
	}
	dir, err := os.MkdirTemp("", "towline-demo-")
	if err != nil {
		return err
	}
	s := &stage{dir: dir, project: *project, tell: newTeller(out)}
	err = s.play(ctx, *keep)
	return errors.Join(err, s.clear(), os.RemoveAll(dir))
}
