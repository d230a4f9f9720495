package pipelines

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// description is a project's run.yaml: what surrounds the project and what is
// done with it.
type description struct {
	About string `json:"about"`
	// Namespaces are the suffixes of the namespaces to make; NAMESPACE in the
	// variables stands for the name without a suffix.
	Namespaces []string `json:"namespaces"`
	// Role is the ClusterRole that the project's jobs have in the namespaces,
	// default edit; with cluster-admin they have it everywhere.
	Role      string         `json:"role"`
	Variables []sim.Variable `json:"variables"`
	Steps     []step         `json:"steps"`
	// Differs are patterns of lines in which the real programs are known to say
	// something else; the reason stands beside them. Only -oracle reads it.
	Differs []string `json:"differs"`
}

// step runs a pipeline, or plays jobs of the latest one.
type step struct {
	Name string `json:"name"`
	// Before lists changes of the repository: "push FOLDER", "tag NAME" or
	// "branch NAME".
	Before    []string       `json:"before"`
	Ref       string         `json:"ref"`
	Source    string         `json:"source"`
	Variables []sim.Variable `json:"variables"`
	Play      []string       `json:"play"`
	// Jobs are the states that are not success: "manual", "skipped", or
	// "failed" with the exit code.
	Jobs map[string]string `json:"jobs"`
}

const (
	projects = "../testdata/pipelines"
	token    = "NAMESPACE" // stands for the run's own namespace
)

// names lists the projects.
func names() ([]string, error) {
	entries, err := os.ReadDir(projects)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, err
}

func describe(name string) (description, error) {
	d := description{Role: "edit", Namespaces: []string{""}}
	text, err := os.ReadFile(filepath.Join(projects, name, "run.yaml"))
	if err != nil {
		return d, err
	}
	if err := yaml.UnmarshalStrict(text, &d); err != nil {
		return d, fmt.Errorf("%s/run.yaml: %w", name, err)
	}
	return d, nil
}

// files reads a folder of a project.
func files(name, folder string) (map[string]string, error) {
	root := filepath.Join(projects, name, folder)
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		out[filepath.ToSlash(rel)] = string(text)
		return err
	})
	return out, err
}

// variables answers the list with the run's namespace in it.
func variables(list []sim.Variable, namespace string) []sim.Variable {
	out := slices.Clone(list)
	for i := range out {
		out[i].Value = strings.ReplaceAll(out[i].Value, token, namespace)
	}
	return out
}
