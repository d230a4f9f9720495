package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/archive"
	"github.com/towline/towline/services/runner/internal/artifacts"
	"github.com/towline/towline/services/runner/internal/attempts"
	"github.com/towline/towline/services/runner/internal/workspace"
)

// Values of when:.
const (
	whenSuccess = "on_success"
	whenFailure = "on_failure"
	whenAlways  = "always"
)

// due says whether an entry belongs to a job that ended this way.
func due(when string, failed bool) bool {
	switch when {
	case whenAlways:
		return true
	case whenFailure:
		return failed
	case whenSuccess, "":
		return !failed
	}
	return false
}

// courier is the client of the artifact stages.
func (r *run) courier() (*artifacts.Client, error) {
	return artifacts.New(artifacts.Config{
		URL: r.spec.GitLabURL, Proxy: r.spec.Proxy, CA: r.spec.GitCA, UserAgent: "towline-runner/" + r.spec.RunnerVersion,
		Job: r.spec.Job.ID, Token: r.spec.Job.Token, Temp: r.env.temp, Log: r.log,
	})
}

// project opens the project directory, in which the script may have done
// anything.
func (r *run) project() (*os.Root, error) {
	root, err := os.OpenRoot(r.spec.ProjectDir)
	if err != nil {
		return nil, errors.New("the project directory is gone: the script must not remove it")
	}
	return root, nil
}

// downloadArtifacts fetches what earlier jobs have stored, in the order of the
// payload: later files replace earlier ones.
func (r *run) downloadArtifacts(ctx context.Context) error {
	wanted := slices.DeleteFunc(slices.Clone(r.spec.Job.Dependencies), func(d jobspec.Dependency) bool { return d.ArtifactsFile == nil })
	if len(wanted) == 0 {
		return nil
	}
	return r.log.section("download_artifacts", "Downloading artifacts", func() error {
		ctx, stop := r.scriptContext(ctx, 0)
		defer stop()
		stage := attempts.Stage{
			Variable: "ARTIFACT_DOWNLOAD_ATTEMPTS", Value: r.env.get("ARTIFACT_DOWNLOAD_ATTEMPTS"), Warn: r.log.warn,
			Try:    func(ctx context.Context) error { return r.download(ctx, wanted) },
			Failed: func(error) error { return nil }, // it has been logged
		}
		return stage.Do(ctx)
	})
}

func (r *run) download(ctx context.Context, wanted []jobspec.Dependency) error {
	client, err := r.courier()
	if err != nil {
		return err
	}
	defer client.Close()
	project, err := r.project()
	if err != nil {
		return err
	}
	defer project.Close()
	for _, d := range wanted {
		err := client.Download(ctx, artifacts.Dependency{ID: d.ID, Name: plain(d.Name), Token: d.Token, Size: d.ArtifactsFile.Size}, project)
		if err != nil {
			return err
		}
	}
	return nil
}

// uploadArtifacts stores what the job asks to store when it ends this way. All
// entries are tried; the first error counts.
func (r *run) uploadArtifacts(ctx context.Context, failed bool) error {
	entries := slices.DeleteFunc(slices.Clone(r.spec.Job.Artifacts), func(a jobspec.Artifact) bool { return !due(a.When, failed) })
	if len(entries) == 0 {
		return nil
	}
	name, header := "upload_artifacts_on_success", "Uploading artifacts for successful job"
	if failed {
		name, header = "upload_artifacts_on_failure", "Uploading artifacts for failed job"
	}
	return r.log.section(name, header, func() error {
		client, err := r.courier()
		if err != nil {
			return err
		}
		defer client.Close()
		var first error
		for _, a := range entries {
			if err := r.upload(ctx, client, a); err != nil && first == nil {
				first = err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		return first
	})
}

func (r *run) upload(ctx context.Context, client *artifacts.Client, a jobspec.Artifact) error {
	project, err := r.project()
	if err != nil {
		r.log.error(err.Error())
		return &artifacts.Error{Text: err.Error()}
	}
	defer project.Close()
	u := artifacts.Upload{
		Project: project, Dir: r.spec.ProjectDir, Rules: r.rules(ctx, a.Paths, a.Exclude, a.Untracked),
		Type: a.ArtifactType, Format: a.Format, ExpireIn: a.ExpireIn,
	}
	if a.Name != "" {
		u.Name = &r.expanded([]string{a.Name})[0]
	}
	return client.Upload(ctx, u)
}

// rules resolves what is to be stored.
func (r *run) rules(ctx context.Context, paths, exclude []string, untracked bool) archive.Rules {
	rules := archive.Rules{Paths: r.expanded(paths), Exclude: r.expanded(exclude), Untracked: untracked}
	if !untracked {
		return rules
	}
	var err error
	if rules.UntrackedFiles, err = workspace.Untracked(ctx, r.spec.ProjectDir); err != nil {
		r.log.warn(fmt.Sprintf("untracked: %v", err))
	}
	return rules
}
