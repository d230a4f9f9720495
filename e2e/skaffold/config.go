package skaffold

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Version is the version of the file's schema, whose names the types below have.
const Version = "skaffold/v4beta13"

// Config is a skaffold.yaml. A key that is not here ends reading: it is a mistake,
// or needs a look at what it means for the tests.
type Config struct {
	APIVersion  string        `yaml:"apiVersion"`
	Kind        string        `yaml:"kind"`
	Metadata    Metadata      `yaml:"metadata"`
	Build       Build         `yaml:"build"`
	Manifests   *Manifests    `yaml:"manifests,omitempty"`
	Deploy      Deploy        `yaml:"deploy"`
	PortForward []PortForward `yaml:"portForward,omitempty"`
	Profiles    []Profile     `yaml:"profiles,omitempty"`
}

// Metadata names the file.
type Metadata struct {
	Name string `yaml:"name"`
}

// Build says which images are built, and how.
type Build struct {
	Local     Local      `yaml:"local"`
	Artifacts []Artifact `yaml:"artifacts"`
}

// Local is building with Docker.
type Local struct {
	UseBuildkit bool `yaml:"useBuildkit"`
}

// Artifact is an image. Its paths are relative: Context to the file, Dockerfile to
// Context.
type Artifact struct {
	Image   string `yaml:"image"`
	Context string `yaml:"context"`
	Docker  Docker `yaml:"docker"`
}

// Docker is an image's Dockerfile.
type Docker struct {
	Dockerfile string `yaml:"dockerfile"`
}

// Manifests are files with objects that kubectl applies.
type Manifests struct {
	RawYAML []string `yaml:"rawYaml"`
}

// Deploy says by what is deployed. Kubectl is there where Manifests are.
type Deploy struct {
	Helm    Helm      `yaml:"helm"`
	Kubectl *struct{} `yaml:"kubectl,omitempty"`
}

// Helm has the releases.
type Helm struct {
	Releases []Release `yaml:"releases"`
}

// Release is a chart with its values: path to what --set is given.
type Release struct {
	Name              string            `yaml:"name"`
	Namespace         string            `yaml:"namespace"`
	CreateNamespace   bool              `yaml:"createNamespace"`
	ChartPath         string            `yaml:"chartPath"`
	SetValues         map[string]any    `yaml:"setValues"`
	SetValueTemplates map[string]string `yaml:"setValueTemplates"`
}

// PortForward is a port of the cluster that the developer's machine has, too.
type PortForward struct {
	ResourceType string `yaml:"resourceType"`
	ResourceName string `yaml:"resourceName"`
	Namespace    string `yaml:"namespace"`
	Port         int    `yaml:"port"`
	LocalPort    int    `yaml:"localPort"`
}

// Profile is a change of the file.
type Profile struct {
	Name    string  `yaml:"name"`
	Patches []Patch `yaml:"patches"`
}

// Patch is an operation of a JSON patch.
type Patch struct {
	Op    string `yaml:"op"`
	Path  string `yaml:"path"`
	Value any    `yaml:"value,omitempty"`
}

// Read reads the file in the repository's root.
func Read(root string) (*Config, error) {
	raw, err := os.ReadFile(filepath.Join(root, "skaffold.yaml"))
	if err != nil {
		return nil, err
	}
	return parse(raw)
}

func parse(raw []byte) (*Config, error) {
	var c Config
	strict := yaml.NewDecoder(bytes.NewReader(raw))
	strict.KnownFields(true)
	if err := strict.Decode(&c); err != nil {
		return nil, fmt.Errorf("skaffold.yaml: %w", err)
	}
	switch {
	case c.APIVersion != Version || c.Kind != "Config":
		return nil, fmt.Errorf("skaffold.yaml: it is a %s of %s, want a Config of %s", c.Kind, c.APIVersion, Version)
	case (c.Manifests == nil) != (c.Deploy.Kubectl == nil):
		return nil, errors.New("skaffold.yaml: manifests are deployed by deploy.kubectl, and nothing else is: have both or none")
	}
	return &c, nil
}
