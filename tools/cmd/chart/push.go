package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"helm.sh/helm/v3/pkg/registry"
)

// push sends the package, and its signature if there is one, to a registry as
// path/<name>:<version>, and returns where it is, with its digest. A registry on
// this machine is spoken to without TLS.
func (p *pkg) push(path string, at time.Time) (string, error) {
	place := strings.TrimRight(strings.TrimPrefix(path, "oci://"), "/") + "/" + p.name + ":" + strings.ReplaceAll(p.version, "+", "_")
	tag, err := name.NewTag(place, name.StrictValidation)
	if err != nil {
		return "", fmt.Errorf("--push: %w", err)
	}
	options := []registry.ClientOption{registry.ClientOptWriter(io.Discard)}
	if tag.Scheme() == "http" {
		options = append(options, registry.ClientOptPlainHTTP())
	}
	client, err := registry.NewClient(options...)
	if err != nil {
		return "", err
	}
	more := []registry.PushOption{registry.PushOptCreationTime(at.Format(time.RFC3339))}
	if p.signed != nil {
		more = append(more, registry.PushOptProvData(p.signed))
	}
	done, err := client.Push(p.archive, tag.String(), more...)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", tag, err)
	}
	return "oci://" + tag.String() + "@" + done.Manifest.Digest, nil
}
