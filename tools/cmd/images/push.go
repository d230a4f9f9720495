package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Push writes the image to a registry, under repository/<service>:<tag> as the
// chart has it, and with
// each platform's image its bill of materials, which refers to it. Credentials
// are those of docker login. It returns where the image is, with its digest.
func (i *Image) Push(ctx context.Context, repository string) (string, error) {
	tag, err := name.NewTag(strings.TrimRight(repository, "/")+"/"+i.Service+":"+i.tag(), name.StrictValidation)
	if err != nil {
		return "", fmt.Errorf("--push: %w", err)
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	index, err := i.index()
	if err != nil {
		return "", err
	}
	if err := remote.WriteIndex(tag, index, options...); err != nil {
		return "", fmt.Errorf("push %s: %w", tag, err)
	}
	for _, b := range i.Binaries {
		attached, err := i.attachment(b)
		if err != nil {
			return "", err
		}
		digest, err := attached.Digest()
		if err != nil {
			return "", err
		}
		if err := remote.Write(tag.Context().Digest(digest.String()), attached, options...); err != nil {
			return "", fmt.Errorf("push the bill of materials of %s: %w", tag, err)
		}
	}
	digest, err := index.Digest()
	if err != nil {
		return "", err
	}
	return tag.String() + "@" + digest.String(), nil
}

// attachment is the bill of materials as registries keep it: an artifact that
// names the image it is about.
func (i *Image) attachment(b Binary) (v1.Image, error) {
	text, err := i.sbom(b)
	if err != nil {
		return nil, err
	}
	image, err := i.image(b)
	if err != nil {
		return nil, err
	}
	about, err := partial.Descriptor(image)
	if err != nil {
		return nil, err
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), sbomType)
	if artifact, err = mutate.AppendLayers(artifact, static.NewLayer(text, sbomType)); err != nil {
		return nil, err
	}
	return mutate.Subject(artifact, *about).(v1.Image), nil
}
