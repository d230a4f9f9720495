package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/towline/towline/tools/internal/repository"
)

// built is an image with a real program in the place of policy's: a small one, so
// that the test does not build a service for another platform.
func built(t *testing.T) *Image {
	t.Helper()
	root, err := repository.Root()
	if err != nil {
		t.Fatal(err)
	}
	p := v1.Platform{OS: "linux", Architecture: "arm64"}
	binary := filepath.Join(t.TempDir(), "policy")
	if err := compile(t.Context(), filepath.Join(root, "tools", "cmd", "versions"), binary, "v1.2.3", p); err != nil {
		t.Fatal(err)
	}
	return &Image{Service: "policy", Version: "v1.2.3", Roots: true, Binaries: []Binary{{Platform: p, Path: binary}}}
}

// The same source gives the same image, built where it may be, and a registry
// has it with its bill of materials.
func TestBuildTwiceAndPush(t *testing.T) {
	first, second := built(t), built(t)
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	defer srv.Close()
	at := strings.TrimPrefix(srv.URL, "http://") + "/mirror/towline"
	pushed, err := first.Push(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	again, err := second.Push(t.Context(), at+"/")
	if err != nil {
		t.Fatal(err)
	}
	if pushed != again || !strings.HasPrefix(pushed, at+"/policy:v1.2.3@sha256:") {
		t.Errorf("pushed %s, then %s", pushed, again)
	}

	tag, err := name.NewTag(at + "/policy:v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(tag, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil || len(m.Manifests) != 1 || m.Manifests[0].Platform.Architecture != "arm64" {
		t.Fatalf("%+v, %v", m, err)
	}
	about := tag.Context().Digest(m.Manifests[0].Digest.String())
	referring, err := remote.Referrers(about, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	r, err := referring.IndexManifest()
	if err != nil || len(r.Manifests) != 1 || r.Manifests[0].ArtifactType != sbomType {
		t.Fatalf("what refers to the image: %+v, %v", r, err)
	}
	image, err := remote.Image(tag.Context().Digest(r.Manifests[0].Digest.String()), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	checkBOM(t, text)
	checkBOMFiles(t, first, text)
}

// checkBOM looks for what is surely in the image, and for what is not.
func checkBOM(t *testing.T, text []byte) {
	t.Helper()
	var b bom
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.Metadata.Component.Name != "towline-policy" || b.Metadata.Component.Version != "v1.2.3" || len(b.Metadata.Component.Hashes) != 1 {
		t.Errorf("the bill is %+v", b.Metadata)
	}
	versions := map[string]string{}
	for _, c := range b.Components {
		versions[c.Name] = c.Version
		if c.Type == "library" && c.PURL != "pkg:golang/"+strings.ToLower(c.Name)+"@"+strings.ReplaceAll(c.Version, "+", "%2B") {
			t.Errorf("%s %s has the purl %s", c.Name, c.Version, c.PURL)
		}
	}
	for _, name := range []string{"go", "golang.org/x/mod", rootsModule} {
		if versions[name] == "" {
			t.Errorf("%s is missing, or its version", name)
		}
	}
	if _, ok := versions["github.com/google/go-containerregistry"]; ok {
		t.Error("a library is named that is not in the program")
	}
}

func checkBOMFiles(t *testing.T, i *Image, text []byte) {
	t.Helper()
	dir := t.TempDir()
	if err := i.writeSBOMs(dir); err != nil {
		t.Fatal(err)
	}
	beside, err := os.ReadFile(filepath.Join(dir, "towline-policy.linux-arm64.cdx.json"))
	if err != nil || string(beside) != string(text) {
		t.Errorf("the bill beside the archive is another than the one pushed (%v)", err)
	}
}

func TestWhereToPushIsChecked(t *testing.T) {
	if _, err := (&Image{Service: "policy"}).Push(t.Context(), "not a registry"); err == nil || !strings.Contains(err.Error(), "--push: ") {
		t.Errorf("error = %v", err)
	}
}
