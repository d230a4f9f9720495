package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// sbomType is the media type of a bill of materials.
const sbomType = "application/vnd.cyclonedx+json"

// rootsModule is where the root certificates come from.
const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// bom is a bill of materials in CycloneDX, with the few fields that there is
// something to say for. It holds no time and no random number, so that the same
// image has the same one.
type bom struct {
	Format      string      `json:"bomFormat"`
	SpecVersion string      `json:"specVersion"`
	Version     int         `json:"version"`
	Metadata    bomMetadata `json:"metadata"`
	Components  []component `json:"components"`
}

type bomMetadata struct {
	Component component `json:"component"`
}

type component struct {
	Type    string    `json:"type"`
	Name    string    `json:"name"`
	Version string    `json:"version,omitempty"`
	PURL    string    `json:"purl,omitempty"`
	Hashes  []bomHash `json:"hashes,omitempty"`
}

type bomHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

// sbom lists what is in the image of a binary: what Go has linked into it, the
// root certificates, and busybox.
func (i *Image) sbom(b Binary) ([]byte, error) {
	info, err := buildinfo.ReadFile(b.Path)
	if err != nil {
		return nil, fmt.Errorf("bill of materials: %w", err)
	}
	program, err := fileHash(b.Path)
	if err != nil {
		return nil, err
	}
	out := bom{Format: "CycloneDX", SpecVersion: "1.5", Version: 1, Metadata: bomMetadata{component{
		Type: "container", Name: i.Name(), Version: i.Version, Hashes: []bomHash{program},
	}}}
	out.Components = append(out.Components, component{
		Type: "platform", Name: "go", Version: strings.TrimPrefix(info.GoVersion, "go"), PURL: golang("stdlib", strings.TrimPrefix(info.GoVersion, "go")),
	})
	for _, m := range info.Deps {
		out.Components = append(out.Components, library(m))
	}
	if i.Roots {
		roots, err := rootsVersion()
		if err != nil {
			return nil, err
		}
		out.Components = append(out.Components, library(roots))
	}
	if b.Toolbox != "" {
		h, err := fileHash(filepath.Join(b.Toolbox, "busybox"))
		if err != nil {
			return nil, err
		}
		out.Components = append(out.Components, component{Type: "application", Name: "busybox", Hashes: []bomHash{h}})
	}
	text, err := json.MarshalIndent(out, "", "  ")
	return append(text, '\n'), err
}

func library(m *debug.Module) component {
	if m.Replace != nil && m.Replace.Version != "" {
		m = m.Replace
	}
	return component{Type: "library", Name: m.Path, Version: m.Version, PURL: golang(m.Path, m.Version)}
}

// golang is the package URL of a module.
func golang(path, version string) string {
	return "pkg:golang/" + strings.ToLower(path) + "@" + url.QueryEscape(version)
}

// rootsVersion is the module of the root certificates as this program has it.
func rootsVersion() (*debug.Module, error) {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == rootsModule {
				return m, nil
			}
		}
	}
	return nil, fmt.Errorf("bill of materials: this program does not know its version of %s", rootsModule)
}

func fileHash(path string) (bomHash, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return bomHash{}, err
	}
	sum := sha256.Sum256(b)
	return bomHash{Algorithm: "SHA-256", Content: hex.EncodeToString(sum[:])}, nil
}

// writeSBOMs puts the bills of materials beside the archive.
func (i *Image) writeSBOMs(dir string) error {
	for _, b := range i.Binaries {
		text, err := i.sbom(b)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s.%s-%s.cdx.json", i.Name(), b.Platform.OS, b.Platform.Architecture)
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil { //nolint:gosec // G306: build output, for everybody
			return err
		}
	}
	return nil
}
