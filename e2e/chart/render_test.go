package chart

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

const (
	root      = "../.."
	chartDir  = root + "/charts/towline"
	release   = "towline"
	notesFile = "NOTES.txt"
)

var services = []string{"tunnel", "policy", "runner"}

// minimal are the values that have to be given, with a Redis that is there.
const minimal = `
gitlab: {url: "https://gitlab.example.com"}
agent: platform/clusters:production
credentials: {runner: {existingSecret: gitlab-runner}}
redis: {external: {existingSecret: redis}}
`

const withCredentials = `
credentials:
  runner: {existingSecret: gitlab, key: runner}
  config: {existingSecret: gitlab, key: config}
  seal: {existingSecret: keys, key: seal}
  signing: {existingSecret: keys, key: sign}
`

// combinations are installations that people have: the files of the chart's ci
// directory by their names.
var combinations = readCombinations()

func readCombinations() map[string]string {
	files, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	if err != nil || len(files) < 30 {
		panic(fmt.Sprint("too few value files of the chart: ", len(files), err))
	}
	all := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			panic(err)
		}
		all[strings.TrimSuffix(filepath.Base(f), "-values.yaml")] = string(b)
	}
	return all
}

// eachCombination runs f once per combination, with what is rendered of it.
func eachCombination(t *testing.T, f func(t *testing.T, r rendered)) {
	t.Helper()
	for name, documents := range combinations {
		t.Run(name, func(t *testing.T) { f(t, render(t, documents)) })
	}
}

// rendered is what Helm would install.
type rendered struct {
	objects []*unstructured.Unstructured
	notes   string
}

// target says where a chart is rendered for.
type target struct {
	release, namespace string
	api                *rest.Config // for lookup; nil is helm template
	unchecked          bool         // the schema is not asked
}

// kubeVersion is a present cluster's.
func (target) kubeVersion() *chartutil.KubeVersion {
	return &chartutil.KubeVersion{Version: "v1.37.0", Major: "1", Minor: "37"}
}

// capabilities are a present cluster's.
func (to target) capabilities() *chartutil.Capabilities {
	c := *chartutil.DefaultCapabilities
	c.KubeVersion = *to.kubeVersion()
	return &c
}

func render(t *testing.T, documents string) rendered {
	t.Helper()
	r, err := renderFor(t, target{release: release, namespace: "towline"}, documents)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func renderFor(t *testing.T, to target, documents string) (rendered, error) {
	t.Helper()
	files, err := renderFiles(t, to, documents)
	if err != nil {
		return rendered{}, err
	}
	var r rendered
	for name, content := range files {
		if path.Base(name) == notesFile {
			r.notes = content
			continue
		}
		r.objects = append(r.objects, decode(t, name, content)...)
	}
	slices.SortFunc(r.objects, func(a, b *unstructured.Unstructured) int { return strings.Compare(id(a), id(b)) })
	return r, nil
}

// accepted are the documents of values that the schema has let through. Helm
// compiles the schema anew each time, which takes longer than all the rest: it
// need not say the same twice.
var accepted sync.Map

func renderFiles(t *testing.T, to target, documents string) (map[string]string, error) {
	t.Helper()
	c := loaded()
	_, known := accepted.Load(documents)
	options := chartutil.ReleaseOptions{Name: to.release, Namespace: to.namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValuesWithSchemaValidation(c, values(t, documents), options, to.capabilities(), to.unchecked || known)
	if err != nil {
		return nil, err
	}
	if !to.unchecked {
		accepted.Store(documents, true)
	}
	if to.api != nil {
		e := engine.New(to.api)
		return e.Render(c, all)
	}
	return engine.Render(c, all)
}

// loaded is the chart, read once. Nobody changes it: Helm renders copies of its
// values.
var loaded = sync.OnceValue(func() *helmchart.Chart {
	c, err := loader.Load(chartDir)
	if err != nil {
		panic(err)
	}
	return c
})

// values reads one or more YAML documents; a top-level key of a later one
// replaces that of an earlier one.
func values(t *testing.T, documents string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for doc := range strings.SplitSeq(documents, "\n---\n") {
		var one map[string]any
		if err := yaml.UnmarshalStrict([]byte(doc), &one); err != nil {
			t.Fatalf("the test's own values: %v\n%s", err, doc)
		}
		maps.Copy(all, one)
	}
	return all
}

func decode(t *testing.T, name, content string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(content)))
	for {
		doc, err := documents.Read()
		if err != nil {
			return out // io.EOF: the reader reads from memory
		}
		o := map[string]any{}
		if err := yaml.UnmarshalStrict(doc, &o); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, doc)
		}
		if len(o) > 0 {
			out = append(out, &unstructured.Unstructured{Object: o})
		}
	}
}

// id names an object for people: Deployment/towline-tunnel.
func id(o *unstructured.Unstructured) string { return o.GetKind() + "/" + o.GetName() }

// find returns the object with this id, as T.
func find[T any](t *testing.T, r rendered, want string) *T {
	t.Helper()
	for _, o := range r.objects {
		if id(o) == want {
			return as[T](t, o)
		}
	}
	t.Fatalf("no %s is rendered", want)
	return nil
}

// as converts an object and refuses fields its type does not have.
func as[T any](t *testing.T, o *unstructured.Unstructured) *T {
	t.Helper()
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &typed, true); err != nil {
		t.Fatalf("%s: %v", id(o), err)
	}
	return &typed
}

func deployment(t *testing.T, r rendered, service string) *appsv1.Deployment {
	t.Helper()
	return find[appsv1.Deployment](t, r, "Deployment/"+release+"-"+service)
}

// has says whether an object is rendered.
func (r rendered) has(want string) bool {
	return slices.ContainsFunc(r.objects, func(o *unstructured.Unstructured) bool { return id(o) == want })
}

// pods are the templates of all pods by their component.
func pods(t *testing.T, r rendered) map[string]corev1.PodTemplateSpec {
	t.Helper()
	all := map[string]corev1.PodTemplateSpec{}
	for _, o := range r.objects {
		var p corev1.PodTemplateSpec
		switch o.GetKind() {
		case "Deployment":
			p = as[appsv1.Deployment](t, o).Spec.Template
		case "StatefulSet":
			set := as[appsv1.StatefulSet](t, o)
			p = set.Spec.Template
			for _, claim := range set.Spec.VolumeClaimTemplates { // as the controller adds them
				p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + set.Name + "-0"},
				}})
			}
		case "Pod":
			pod := as[corev1.Pod](t, o)
			p = corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
		default:
			continue
		}
		all[p.Labels["app.kubernetes.io/component"]] = p
	}
	return all
}
