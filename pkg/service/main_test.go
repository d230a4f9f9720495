package service_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/towline/towline/pkg/service"
)

// TestMain lets the test binary stand in for a service, so that signals and
// exit statuses are real ones.
func TestMain(m *testing.M) {
	if os.Getenv("SERVICE_TEST_RUN") == "" {
		os.Exit(m.Run())
	}
	os.Exit(service.Main("tunnel", func(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
		switch getenv("SERVICE_TEST_RUN") {
		case "fail":
			return errors.New("--redis-url is missing")
		case "status":
			return fmt.Errorf("lint: %w", service.Status{Code: 2, Err: errors.New("no such file")})
		case "silent status":
			return service.Status{Code: 3}
		case "help":
			return fmt.Errorf("settings: %w", flag.ErrHelp)
		case "args":
			fmt.Fprint(out, strings.Join(args, " "))
			return nil
		case "stubborn":
			fmt.Fprintln(out, "started")
			<-ctx.Done()
			fmt.Fprintln(out, "stopping")
			select {}
		}
		fmt.Fprintln(out, "started")
		<-ctx.Done()
		fmt.Fprintln(out, "stopped")
		return nil
	}))
}

func child(t *testing.T, mode string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "SERVICE_TEST_RUN="+mode)
	return cmd
}

func TestMainExitStatusAndOutput(t *testing.T) {
	tests := map[string]struct {
		mode        string
		status      int
		out, errOut string
	}{
		"a status of its own":               {"status", 2, "", "tunnel: lint: no such file\n"},
		"a status that says nothing":        {"silent status", 3, "", ""},
		"an error ends with 1 and one line": {"fail", 1, "", "tunnel: --redis-url is missing\n"},
		"help is no failure":                {"help", 0, "", ""},
		"arguments come without the name":   {"args", 0, "--slots=3 -h", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cmd := child(t, tt.mode, "--slots=3", "-h")
			var out, errOut strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &errOut
			_ = cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("status %d, want %d", got, tt.status)
			}
			if out.String() != tt.out || errOut.String() != tt.errOut {
				t.Errorf("output %q and %q, want %q and %q", out.String(), errOut.String(), tt.out, tt.errOut)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for _, flag := range []string{"--version", "-version"} {
		out, err := child(t, "fail", flag).Output()
		if want := "tunnel " + service.Version + "\n"; err != nil || string(out) != want {
			t.Errorf("%s: %q, %v; want %q", flag, out, err, want)
		}
	}
}

func TestSignalStopsTheServiceAndASecondOneKillsIt(t *testing.T) {
	tests := map[string]struct {
		mode    string
		signals []os.Signal
		says    []string
		clean   bool
	}{
		"SIGTERM stops in order":               {"wait", []os.Signal{syscall.SIGTERM}, []string{"started", "stopped"}, true},
		"SIGINT stops in order":                {"wait", []os.Signal{os.Interrupt}, []string{"started", "stopped"}, true},
		"a second one kills what does not end": {"stubborn", []os.Signal{syscall.SIGTERM, syscall.SIGTERM}, []string{"started", "stopping"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cmd := child(t, tt.mode)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for i, want := range tt.says {
				if !lines.Scan() || lines.Text() != want {
					t.Fatalf("the service says %q, want %q", lines.Text(), want)
				}
				if i < len(tt.signals) {
					if err := cmd.Process.Signal(tt.signals[i]); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := cmd.Wait(); (err == nil) != tt.clean {
				t.Errorf("ended with %v, want clean = %t", err, tt.clean)
			}
		})
	}
}
