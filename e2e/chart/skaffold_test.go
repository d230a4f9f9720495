package chart

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/e2e/gitlabsim/development"
	"github.com/towline/towline/e2e/skaffold"
)

const simulatedGitLab = "simulated-gitlab"

// profiles are the ways in which somebody calls skaffold dev.
var profiles = map[string][]string{
	"alone":                      nil,
	"debug":                      {"debug"},
	simulatedGitLab:              {simulatedGitLab},
	simulatedGitLab + " + debug": {simulatedGitLab, "debug"},
}

// developed is what skaffold dev would bring into the cluster.
type developed struct {
	config   *skaffold.Config
	rendered rendered                     // the chart
	plain    []*unstructured.Unstructured // the plain manifests
}

// develop does as skaffold dev would, for the release's own namespace.
func develop(t *testing.T, profiles []string) developed {
	t.Helper()
	all, err := skaffold.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all.Profiles {
		if known := slices.Contains([]string{simulatedGitLab, "debug"}, p.Name); !known {
			t.Errorf("no test looks at the profile %s", p.Name)
		}
	}
	c, err := all.With(profiles...)
	if err != nil {
		t.Fatal(err)
	}
	images := map[string]string{}
	for _, a := range c.Build.Artifacts {
		images[a.Image] = builtImage(a.Image)
	}
	env := map[string]string{"TOWLINE_GITLAB_URL": "https://gitlab.example.com", "TOWLINE_AGENT": "group/project:agent"}
	if slices.Contains(profiles, simulatedGitLab) {
		env = nil // it needs nothing
	}
	if len(c.Deploy.Helm.Releases) != 1 {
		t.Fatalf("%d releases", len(c.Deploy.Helm.Releases))
	}
	r := c.Deploy.Helm.Releases[0]
	if dir := filepath.Clean(filepath.Join(root, r.ChartPath)); dir != filepath.Clean(chartDir) {
		t.Errorf("the chart is %s", r.ChartPath)
	}
	set, err := r.Values(env, images)
	if err != nil {
		t.Fatal(err)
	}
	documents, err := yaml.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	d := developed{config: c}
	if d.rendered, err = renderFor(t, target{release: r.Name, namespace: r.Namespace}, string(documents)); err != nil {
		t.Fatal(err)
	}
	if d.plain, err = c.Objects(root, images); err != nil {
		t.Fatal(err)
	}
	return d
}

// builtImage is how an image is called with the tag that skaffold gives it.
func builtImage(name string) string { return "registry.example.com/" + name + ":v1-dirty" }

func TestSkaffoldBuildsWhatItDeploys(t *testing.T) {
	for name, with := range profiles {
		t.Run(name, func(t *testing.T) {
			d := develop(t, with)
			built := map[string]bool{}
			for _, a := range d.config.Build.Artifacts {
				built[builtImage(a.Image)] = true
			}
			used := map[string]bool{}
			for component, p := range pods(t, rendered{objects: append(slices.Clone(d.rendered.objects), d.plain...)}) {
				if component != "redis" {
					used[p.Spec.Containers[0].Image] = true
				}
			}
			if diff := cmp.Diff(built, used); diff != "" {
				t.Errorf("images (-built +used):\n%s", diff)
			}
		})
	}
}

func TestSkaffoldsDockerfiles(t *testing.T) {
	for _, a := range develop(t, profiles[simulatedGitLab]).config.Build.Artifacts {
		checkDockerfile(t, filepath.Join(root, a.Context), a.Docker.Dockerfile)
	}
}

// checkDockerfile looks whether what a Dockerfile copies is there, and whether it
// is all that the programs need which are built of it.
func checkDockerfile(t *testing.T, context, name string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(context, name))
	if err != nil {
		t.Error(err)
		return
	}
	var copied []string
	var dir string
	for line := range strings.Lines(strings.ReplaceAll(string(raw), "\\\n", " ")) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch {
		case words[0] == "WORKDIR" && dir == "":
			dir = strings.TrimPrefix(words[1], "/src/") // as in the repository
		case words[0] == "COPY" && !strings.HasPrefix(words[1], "--"):
			copied = append(copied, words[1:len(words)-1]...)
		case words[0] == "RUN" && strings.Contains(line, "go build"):
			for _, command := range strings.Split(line, "&&") {
				words := strings.Fields(command)
				if slices.Contains(words, "build") {
					checkSources(t, name, filepath.Join(context, dir), words[len(words)-1], copied)
				}
			}
		}
	}
	for _, c := range copied {
		if _, err := os.Stat(filepath.Join(context, c)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// checkSources looks whether the sources of a program are among the copied files
// and directories.
func checkSources(t *testing.T, dockerfile, module, program string, copied []string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Dir,Module", program)
	list.Dir, list.Env = module, append(os.Environ(), "GOWORK=off")
	out, err := list.Output()
	if err != nil {
		t.Errorf("%s: %s: %v", dockerfile, program, err)
		return
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	for packages := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ Dir string }
		if err := packages.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		at, err := filepath.Rel(top, p.Dir)
		if err != nil || strings.HasPrefix(at, "..") {
			continue // another module's
		}
		ours++
		if !slices.ContainsFunc(copied, func(c string) bool { return at == c || strings.HasPrefix(at, c+"/") }) {
			t.Errorf("%s: %s needs %s, which is not copied", dockerfile, program, at)
		}
	}
	if ours == 0 {
		t.Errorf("%s: %s has no sources here", dockerfile, program)
	}
}

// A profile is worth its name only if what it sets reaches the programs.
func TestSkaffoldsProfilesReachTheServices(t *testing.T) {
	for name, with := range profiles {
		t.Run(name, func(t *testing.T) {
			d := develop(t, with)
			want := []string{"--log-level=info", "--log-format=json"}
			if slices.Contains(with, "debug") {
				want = []string{"--log-level=debug", "--log-format=text"}
			}
			gitlab := "--gitlab-url=https://gitlab.example.com"
			if slices.Contains(with, simulatedGitLab) {
				gitlab = "--gitlab-url=http://gitlab.simulated-gitlab.svc:8080"
			}
			for _, service := range services {
				args := deployment(t, d.rendered, service).Spec.Template.Spec.Containers[0].Args
				for _, arg := range want {
					if !slices.Contains(args, arg) {
						t.Errorf("%s lacks %s: %v", service, arg, args)
					}
				}
				if service == "tunnel" && !slices.Contains(args, gitlab) {
					t.Errorf("%s lacks %s: %v", service, gitlab, args)
				}
			}
			if !d.rendered.has("StatefulSet/" + release + "-redis") {
				t.Error("there is no Redis")
			}
		})
	}
}

// With the simulated GitLab nothing is left to bring along.
func TestSkaffoldsSimulatedGitLabNeedsNothing(t *testing.T) {
	d := develop(t, profiles[simulatedGitLab])
	for component, p := range pods(t, d.rendered) {
		for _, ref := range references(p.Spec) {
			if !d.rendered.has(ref) {
				t.Errorf("%s needs the %s", component, ref)
			}
		}
		for _, v := range p.Spec.Volumes {
			if v.PersistentVolumeClaim != nil {
				t.Errorf("%s needs a volume of the cluster", component)
			}
		}
	}
	tokens := map[string]string{}
	for _, o := range d.rendered.objects {
		if o.GetKind() == "Secret" {
			for key, value := range as[corev1.Secret](t, o).Data {
				tokens[key] = string(value)
			}
			maps.Copy(tokens, as[corev1.Secret](t, o).StringData)
		}
	}
	if tokens["runner-token"] != development.RunnerToken || tokens["config-token"] != development.ConfigToken {
		t.Errorf("the tokens are not those of the simulator: %q, %q", tokens["runner-token"], tokens["config-token"])
	}
	args := deployment(t, d.rendered, "tunnel").Spec.Template.Spec.Containers[0].Args
	if want := "--agent=" + development.Project + ":" + development.Agent; !slices.Contains(args, want) {
		t.Errorf("the tunnel lacks %s: %v", want, args)
	}
	checkAddresses(t, d)
}

// checkAddresses looks whether the simulator is where everybody expects it.
func checkAddresses(t *testing.T, d developed) {
	t.Helper()
	r := rendered{objects: d.plain}
	s := find[corev1.Service](t, r, "Service/gitlab")
	pod := find[appsv1.Deployment](t, r, "Deployment/gitlab").Spec.Template
	port := s.Spec.Ports[0]
	c := pod.Spec.Containers[0]
	if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) || c.Ports[0].Name != port.TargetPort.StrVal || c.Ports[0].ContainerPort != port.Port {
		t.Errorf("the Service leads to %v at %v, the pod has %v at %v", s.Spec.Selector, port, pod.Labels, c.Ports)
	}
	url := fmt.Sprintf("http://%s.%s.svc:%d", s.Name, s.Namespace, port.Port)
	for _, want := range []string{"--external-url=" + url, fmt.Sprintf("--addr=:%d", port.Port), "--development"} {
		if !slices.Contains(c.Args, want) {
			t.Errorf("the simulator lacks %s: %v", want, c.Args)
		}
	}
	if args := deployment(t, d.rendered, "tunnel").Spec.Template.Spec.Containers[0].Args; !slices.Contains(args, "--gitlab-url="+url) {
		t.Errorf("the tunnel does not look for GitLab at %s: %v", url, args)
	}
	forward := skaffold.PortForward{ResourceType: "service", ResourceName: s.Name, Namespace: s.Namespace, Port: int(port.Port), LocalPort: 8929}
	if diff := cmp.Diff([]skaffold.PortForward{forward}, d.config.PortForward); diff != "" {
		t.Errorf("forwarded ports (-want +got):\n%s", diff)
	}
	guide, err := os.ReadFile(filepath.Join(root, "docs", "guide", "development.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("localhost:%d/_sim/", forward.LocalPort); !strings.Contains(string(guide), want) {
		t.Errorf("the guide does not say %s", want)
	}
}

func TestServerAcceptsWhatSkaffoldDeploys(t *testing.T) {
	s := newServer(t)
	for _, o := range develop(t, nil).rendered.objects {
		if o.GetKind() == "ServiceAccount" { // pods are refused without them
			o.SetNamespace(s.namespace)
			if err := s.create(t.Context(), o, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, with := range profiles {
		t.Run(name, func(t *testing.T) {
			d := develop(t, with)
			for _, o := range append(slices.Clone(d.rendered.objects), d.plain...) {
				if o.GetKind() == "ServiceAccount" {
					continue
				}
				if o.GetNamespace() != "" {
					o.SetNamespace(s.namespace)
				}
				if err := s.create(t.Context(), o, true); err != nil {
					t.Errorf("%s: %v", id(o), err)
				}
				if said := s.warnings.take(); len(said) > 0 {
					t.Errorf("%s: the server warns: %s", id(o), strings.Join(said, "; "))
				}
			}
			for component, template := range pods(t, d.rendered) {
				s.checkPod(t, component, template)
			}
			for _, template := range pods(t, rendered{objects: d.plain}) {
				template.Spec.ServiceAccountName = release + "-tunnel" // the namespace has no other
				s.checkPod(t, "tunnel", template)                      // which has no token either
			}
		})
	}
}
