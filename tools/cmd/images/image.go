package main

import (
	"maps"
	"os"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// user owns nothing in the image and is not root.
	user = "65532:65532"

	// annotationRef is where tools look for an image's tag in an archive.
	annotationRef = "org.opencontainers.image.ref.name"
)

// Image is the image of one service for several platforms.
type Image struct {
	Service  string
	Version  string
	Created  time.Time
	Roots    bool // with root certificates
	Binaries []Binary
}

// Binary is a service's program for one platform.
type Binary struct {
	Platform v1.Platform
	Path     string
	Toolbox  string // directory with the programs that jobs may start; "" for none
}

// Name is the image's name and that of the program in it.
func (i *Image) Name() string { return "towline-" + i.Service }

// WriteArchive writes the image as an OCI archive and returns its digest, the
// one that a registry will show.
func (i *Image) WriteArchive(path string) (digest v1.Hash, err error) {
	index, err := i.index()
	if err != nil {
		return v1.Hash{}, err
	}
	dir, err := os.MkdirTemp("", "towline-layout-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := l.AppendIndex(index, layout.WithAnnotations(map[string]string{annotationRef: i.tag()})); err != nil {
		return v1.Hash{}, err
	}
	if err := archive(dir, path, i.Created); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

func (i *Image) tag() string {
	if i.Version == "" {
		return "latest"
	}
	return i.Version
}

func (i *Image) index() (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, b := range i.Binaries {
		image, err := i.image(b)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &b.Platform}})
	}
	return mutate.Annotations(index, i.labels()).(v1.ImageIndex), nil
}

func (i *Image) image(b Binary) (v1.Image, error) {
	program, err := os.ReadFile(b.Path)
	if err != nil {
		return nil, err
	}
	// The certificates change rarely and are the same in every image: a layer
	// of their own is stored and pulled once.
	var contents []map[string]file
	if i.Roots {
		contents = append(contents, map[string]file{rootsPath: {mode: 0o444, data: rootCertificates()}})
	}
	if b.Toolbox != "" {
		programs, err := toolboxFiles(b.Toolbox)
		if err != nil {
			return nil, err
		}
		contents = append(contents, programs)
	}
	contents = append(contents, map[string]file{i.Name(): {mode: 0o555, data: program}})

	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, files := range contents {
		l, err := layer(files, i.Created)
		if err != nil {
			return nil, err
		}
		names := slices.Sorted(maps.Keys(files))
		image, err = mutate.Append(image, mutate.Addendum{Layer: l, History: v1.History{
			Created: v1.Time{Time: i.Created}, CreatedBy: "towline images", Comment: "/" + names[len(names)-1],
		}})
		if err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: i.Created}
	config.OS, config.Architecture, config.Variant = b.Platform.OS, b.Platform.Architecture, b.Platform.Variant
	config.Config = v1.Config{User: user, WorkingDir: "/", Entrypoint: []string{"/" + i.Name()}, Labels: i.labels()}
	return mutate.ConfigFile(image, config)
}

func (i *Image) labels() map[string]string {
	l := map[string]string{"org.opencontainers.image.title": i.Name()}
	if i.Version != "" {
		l["org.opencontainers.image.version"] = i.Version
	}
	return l
}
