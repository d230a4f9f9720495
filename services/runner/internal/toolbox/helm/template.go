package helm

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// rendered is the flags of template beside those of install.
type rendered struct {
	installation
	validate, crds, skipTests, isUpgrade, releaseDir bool
	kubeVersion, outputDir                           string
	apiVersions, only                                []string
}

func (c *command) templateCommand() *cobra.Command {
	t := new(rendered)
	cmd := &cobra.Command{
		Use: "template [NAME] [CHART]", Short: "locally render templates", Args: minimumArgs(1),
		Long: "Render chart templates locally and display the output. What would be looked up in the cluster is faked.",
	}
	fs := cmd.Flags()
	c.addInstallationFlags(fs, &t.installation)
	fs.StringArrayVarP(&t.only, "show-only", "s", nil, "only show manifests rendered from the given templates")
	fs.StringVar(&t.outputDir, "output-dir", "", "write the executed templates to files in this directory instead of stdout")
	fs.BoolVar(&t.validate, "validate", false, "validate the manifests against the cluster, as an install does")
	fs.BoolVar(&t.crds, "include-crds", false, "include CRDs in the templated output")
	fs.BoolVar(&t.skipTests, "skip-tests", false, "skip tests from templated output")
	fs.BoolVar(&t.isUpgrade, "is-upgrade", false, "set .Release.IsUpgrade instead of .Release.IsInstall")
	fs.StringVar(&t.kubeVersion, "kube-version", "", "Kubernetes version used for Capabilities.KubeVersion")
	fs.StringSliceVarP(&t.apiVersions, "api-versions", "a", nil, "Kubernetes api versions used for Capabilities.APIVersions")
	fs.BoolVar(&t.releaseDir, "release-name", false, "use release name in the output-dir path.")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := c.configuration()
		if err != nil {
			return err
		}
		if t.dryRun == "" {
			t.dryRun = "true"
		}
		a := c.install(cfg, &t.installation)
		if err := t.apply(a); err != nil {
			return err
		}
		rel, err := c.runInstall(cmd.Context(), a, &t.installation, args)
		if err != nil && !c.settings.Debug {
			if rel != nil {
				return fmt.Errorf("%w\n\nUse --debug flag to render out invalid YAML", err)
			}
			return err
		}
		if rel != nil { // with --debug even if it is not valid
			if err := c.showTemplate(t, rel); err != nil {
				return err
			}
		}
		return err
	}
	return cmd
}

// apply sets what only template has.
func (t *rendered) apply(a *action.Install) error {
	if t.kubeVersion != "" {
		version, err := chartutil.ParseKubeVersion(t.kubeVersion)
		if err != nil {
			return fmt.Errorf("invalid kube version '%s': %w", t.kubeVersion, err)
		}
		a.KubeVersion = version
	}
	a.DryRun, a.Replace, a.ReleaseName = true, true, "release-name"
	a.ClientOnly, a.APIVersions, a.IncludeCRDs = !t.validate, t.apiVersions, t.crds
	a.IsUpgrade, a.UseReleaseName = t.isUpgrade, t.releaseDir
	return nil
}

// showTemplate writes what was rendered, or the files that --output-dir wants.
func (c *command) showTemplate(t *rendered, rel *release.Release) error {
	var hooks []*release.Hook
	if !t.noHooks {
		hooks = slices.DeleteFunc(slices.Clone(rel.Hooks), func(h *release.Hook) bool { return t.skipTests && isTest(h) })
	}
	if t.outputDir != "" {
		crdDir := c.abs(t.outputDir)
		dir := crdDir
		if t.releaseDir {
			dir = path.Join(dir, rel.Name)
		}
		return c.writeTemplates(dir, crdDir, rel, hooks)
	}
	var text bytes.Buffer
	fmt.Fprintln(&text, strings.TrimSpace(rel.Manifest))
	for _, h := range hooks {
		fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", h.Path, h.Manifest)
	}
	if len(t.only) == 0 {
		_, err := text.WriteTo(c.out)
		return err
	}
	return showOnly(c.out, text.String(), t.only)
}

func isTest(h *release.Hook) bool { return slices.Contains(h.Events, release.HookTest) }

var templateSource = regexp.MustCompile("# Source: [^/]+/(.+)")

// showOnly writes the manifests whose templates match one of the patterns.
func showOnly(w io.Writer, text string, patterns []string) error {
	manifests := releaseutil.SplitManifests(text)
	keys := make([]string, 0, len(manifests))
	for key := range manifests {
		keys = append(keys, key)
	}
	sort.Sort(releaseutil.BySplitManifestsOrder(keys))
	var show []string
	for _, pattern := range patterns {
		found := false
		for _, key := range keys {
			source := templateSource.FindStringSubmatch(manifests[key])
			if source == nil {
				continue
			}
			if matched, _ := path.Match(pattern, source[1]); matched {
				show, found = append(show, manifests[key]), true
			}
		}
		if !found {
			return fmt.Errorf("could not find template %s in chart", pattern)
		}
	}
	for _, manifest := range show {
		fmt.Fprintf(w, "---\n%s\n", manifest)
	}
	return nil
}
