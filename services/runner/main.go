package main

import (
	"context"
	"os"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/app"
	"github.com/towline/towline/services/runner/internal/job"
	"github.com/towline/towline/services/runner/internal/syncer"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == app.JobCommand {
		os.Exit(job.Main(context.Background(), os.Stdin, os.NewFile(job.FramesFD, "frames")))
	}
	if len(os.Args) == 2 && os.Args[1] == app.SyncCommand {
		os.Exit(syncer.Main(context.Background(), os.Stdin, os.Stdout))
	}
	os.Exit(service.Main("towline-runner", app.Run))
}
