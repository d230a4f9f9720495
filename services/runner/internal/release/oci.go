package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/towline/towline/services/runner/internal/egress"
)

// pull gets a packed chart from an OCI registry. The registry is asked each time,
// with the credentials, which manifest the tag stands for.
func (s *source) pull() ([]byte, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(s.URL, registry.OCIScheme+"://"), "/") + "/" + s.Chart
	host, _, _ := strings.Cut(name, "/")
	client, err := s.registry(host)
	if err != nil {
		return nil, err
	}
	tag, err := s.tag(client, name)
	if err != nil {
		return nil, err
	}
	ref := name + ":" + strings.ReplaceAll(tag, "+", "_")
	manifest, err := client.Resolve(ref)
	if err != nil {
		return nil, s.explain(err)
	}
	wanted := manifest.Digest.String()
	if packed, n := s.engine.kept.chart(s.key(name, wanted)); packed != nil && n.isOf(wanted) {
		return packed, nil
	}
	result, err := client.Pull(ref)
	if err != nil {
		return nil, s.explain(err)
	}
	s.engine.kept.keepChart(s.key(name, result.Manifest.Digest), result.Chart.Data, note{Manifest: result.Manifest.Data})
	return result.Chart.Data, nil
}

// isOf says whether a chart is the one of a manifest with this digest.
func (n note) isOf(digest string) bool {
	if "sha256:"+hexSum(n.Manifest) != digest {
		return false
	}
	type layer struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
	}
	var manifest struct {
		Layers []layer `json:"layers"`
	}
	if json.Unmarshal(n.Manifest, &manifest) != nil {
		return false
	}
	return slices.Contains(manifest.Layers, layer{registry.ChartLayerMediaType, "sha256:" + n.Sum})
}

// registry is a client that takes credentials from the source alone.
func (s *source) registry(host string) (*registry.Client, error) {
	authorizer := auth.Client{
		Client: &http.Client{Transport: boundAnswers{s.client.Transport}},
		Cache:  auth.NewCache(),
		Credential: func(_ context.Context, asks string) (auth.Credential, error) {
			if asks != host || s.Username == "" {
				return auth.EmptyCredential, nil
			}
			return auth.Credential{Username: s.Username.Reveal(), Password: s.Password.Reveal()}, nil
		},
	}
	options := []registry.ClientOption{
		registry.ClientOptAuthorizer(authorizer),
		registry.ClientOptHTTPClient(authorizer.Client),
		registry.ClientOptCredentialsFile(filepath.Join(s.engine.options.Cache, "no-credentials.json")),
	}
	if s.PlainHTTP {
		options = append(options, registry.ClientOptPlainHTTP())
	}
	return registry.NewClient(options...)
}

// tag finds the wanted version among the tags, if it is not a tag itself.
func (s *source) tag(client *registry.Client, name string) (string, error) {
	if _, err := semver.StrictNewVersion(strings.TrimPrefix(s.Version, "v")); err == nil {
		return s.Version, nil
	}
	tags, err := client.Tags(name)
	if err != nil {
		return "", s.explain(err)
	}
	tag, err := registry.GetTagMatchingVersionOrConstraint(tags, s.Version)
	if err != nil {
		return "", fmt.Errorf("the registry has no version %s of it", orNewest(s.Version))
	}
	return tag, nil
}

// explain adds what to do about a registry's refusal.
func (s *source) explain(err error) error {
	answer := new(errcode.ErrorResponse)
	refused := errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden)
	if refused || errors.Is(err, auth.ErrBasicCredentialNotFound) || strings.Contains(err.Error(), "missing username or password") {
		return fmt.Errorf("%w; check the credentials of the registry", err)
	}
	return err
}

// boundAnswers bounds each answer of a registry.
type boundAnswers struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b boundAnswers) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(req)
	if err == nil {
		answer.Body = egress.Bound(answer.Body, maxRegistryBody, fmt.Errorf("%w: an answer of the registry is larger than %d MiB", ErrLimit, maxRegistryBody>>20))
	}
	return answer, err
}
