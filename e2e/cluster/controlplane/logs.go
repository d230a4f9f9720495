package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"k8s.io/klog/v2"

	"github.com/towline/towline/e2e/cluster/controlplane/internal/tail"
)

// logs is where the components' output goes.
type logs struct {
	errors *tail.Errors
	fatal  chan struct{} // closed when a component asked to end the process
}

// openLogs sends everything the components write to the file, or nowhere when
// path is empty. Kubernetes and etcd log through process-wide loggers that end
// in os.Stderr, so that variable is replaced; a panic of the Go runtime still
// reaches the real stderr.
func openLogs(path string) (*logs, error) {
	if path == "" {
		path = os.DevNull
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	os.Stderr = file
	log.SetOutput(file) // has taken hold of the real one already
	l := &logs{errors: &tail.Errors{}, fatal: make(chan struct{})}

	fs := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(fs)
	// Without one_output an error is written once per severity below it.
	for name, value := range map[string]string{"logtostderr": "false", "stderrthreshold": "FATAL", "one_output": "true"} {
		if err := fs.Set(name, value); err != nil {
			return nil, fmt.Errorf("klog flag %s: %w", name, err)
		}
	}
	klog.SetOutput(io.MultiWriter(file, l.errors))

	// A component that gives up calls klog.Fatal, which would end the process
	// without a word and leave its files behind. Park the caller instead and let
	// the plane stop in order.
	asked := make(chan struct{}, 1)
	klog.OsExit = func(int) {
		select {
		case asked <- struct{}{}:
			close(l.fatal)
		default:
		}
		select {}
	}
	return l, nil
}

// explain adds the last logged errors to err.
func (l *logs) explain(err error) error {
	if last := l.errors.String(); last != "" {
		return fmt.Errorf("%w; last errors logged: %s", err, last)
	}
	return err
}
