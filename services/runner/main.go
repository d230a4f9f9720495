package main

import (
	"context"
	"os"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/app"
	"github.com/towline/towline/services/runner/internal/job"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == app.JobCommand {
		os.Exit(job.Main(context.Background(), os.Stdin, os.NewFile(job.FramesFD, "frames")))
	}
	os.Exit(service.Main("towline-runner", app.Run))
}
