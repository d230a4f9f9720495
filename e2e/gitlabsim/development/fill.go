package development

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// What there is. The values of the release name the same.
const (
	Project     = "acme/shop"
	Agent       = "development"
	RunnerToken = "glrt-t1_ForDevelopmentOnly00"
	ConfigToken = "glpat-ForDevelopmentOnly00"
)

// projectDir holds the project's files.
const projectDir = "project"

//go:embed all:project
var files embed.FS

// Fill makes the project, its agent, its runner and the token that reads the
// agent's configuration.
func Fill(s *sim.Server) error {
	p, err := s.CreateProject(sim.ProjectOptions{Path: Project})
	if err != nil {
		return err
	}
	content, err := read()
	if err != nil {
		return err
	}
	if _, err := s.Push(Project, p.DefaultBranch, content); err != nil {
		return err
	}
	if _, err := s.CreateAgent(Project, Agent); err != nil {
		return err
	}
	if _, err := s.CreateRunner(sim.RunnerOptions{Tags: []string{Agent}, FixedToken: RunnerToken}); err != nil {
		return err
	}
	_, err = s.CreateAccessToken(sim.AccessTokenOptions{Project: Project, Scopes: []string{"read_repository"}, FixedToken: ConfigToken})
	return err
}

// read returns the project's files by path.
func read() (map[string]string, error) {
	content := map[string]string{}
	err := fs.WalkDir(files, projectDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(path)
		content[strings.TrimPrefix(path, projectDir+"/")] = string(b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("files of the project: %w", err)
	}
	return content, nil
}
