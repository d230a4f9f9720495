package gitlabsim_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/towline/towline/e2e/gitlabsim"
)

func Example() {
	gl, err := gitlabsim.Start(gitlabsim.Options{LongPoll: 2 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer gl.Close()
	project, err := gl.CreateProject(gitlabsim.ProjectOptions{Path: "acme/apps/hello"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err = gl.Push(project.Path, "main", map[string]string{
		".gitlab-ci.yml": "deploy:\n  script: [kubectl apply -f k8s/]\n  environment: production\n",
	}); err != nil {
		log.Fatal(err)
	}
	runner, err := gl.CreateRunner(gitlabsim.RunnerOptions{RunUntagged: true})
	if err != nil {
		log.Fatal(err)
	}
	// Start the product here with gl.URL() and runner.Token.
	pipeline, err := gl.RunPipeline(gitlabsim.PipelineOptions{Project: project.Path})
	if err != nil {
		log.Fatal(err)
	}
	deploy, _ := pipeline.Job("deploy")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = gl.Wait(ctx, deploy.ID, gitlabsim.Success) // nobody runs it here
	fmt.Println(runner.Token[:8], deploy.Status, err, gl.AnomaliesExcept())
	// Output: glrt-t1_ pending job 1001 is pending: context deadline exceeded []
}
