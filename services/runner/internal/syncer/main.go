package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/sandbox"
)

// Exit codes of a sync process. How the sync ended is in its report.
const (
	ExitDone     = 0
	ExitProtocol = 3
)

// Main is a sync process: it reads one Request from stdin, confines itself, does
// the work and writes a report to out. SIGTERM stops the work in good order.
func Main(ctx context.Context, stdin, out *os.File) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	var req Request
	if err := readJSON(stdin, maxRequest, &req); err != nil {
		fmt.Fprintf(os.Stderr, "sync process: %v\n", err)
		return ExitProtocol
	}
	began := time.Now()
	req.fetches.begin(req.Patience)
	if req.Tells {
		syscall.CloseOnExec(tellFile)
		req.fetches.teller = os.NewFile(tellFile, "fetches")
	}
	report := guarded(ctx, &req)
	report.Schema, report.Commit, report.Entry = syncspec.Schema, req.Task.Commit, req.Task.Entry.Name
	report.Millis, report.Ended = time.Since(began).Milliseconds(), time.Now().Unix()
	if err := json.NewEncoder(out).Encode(outcome{Report: *report, Fetches: req.fetches.list}); err != nil {
		return ExitProtocol
	}
	return ExitDone
}

// guarded does the work; a fault of ours still ends in a report.
func guarded(ctx context.Context, req *Request) (report *syncspec.Report) {
	report = &syncspec.Report{State: syncspec.Succeeded}
	defer func() {
		if v := recover(); v != nil {
			_, _ = os.Stderr.Write(debug.Stack())
			report.Add(fmt.Sprintf("internal error: %v", v))
		}
	}()
	err := sandbox.Enter(sandbox.Config{Mode: req.Sandbox, ProjectDir: req.Dir, TempDir: req.Temp, Ports: req.ports(), Limits: req.Limits})
	if err != nil {
		report.Add("sandbox: " + err.Error())
		return report
	}
	cluster := &rest.Config{
		Host: fmt.Sprintf("https://127.0.0.1:%d", req.GatePort), BearerToken: req.Token, UserAgent: "towline",
		TLSClientConfig: rest.TLSClientConfig{CAData: req.CA},
	}
	if err := work(ctx, cluster, req, report); err != nil {
		report.Add(err.Error())
	}
	if !req.fetches.late() {
		announce(ctx, cluster, req, report)
	}
	return report
}

func work(ctx context.Context, cluster *rest.Config, req *Request, report *syncspec.Report) error {
	if req.Refusal != "" {
		return errors.New(req.Refusal)
	}
	if req.Task.Remove {
		return removeChart(ctx, cluster, req, report)
	}
	packed, err := os.ReadFile(req.Bundle)
	if err != nil {
		return err
	}
	files, err := syncspec.Unpack(packed)
	if err != nil {
		return err
	}
	if req.Task.Entry.Chart != nil {
		return installChart(ctx, cluster, req, files, report)
	}
	return applyManifests(ctx, cluster, req, files, report)
}
