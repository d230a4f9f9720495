package chart

import (
	"bufio"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
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

// minimal are the values that have to be given.
const minimal = `
gitlab: {url: "https://gitlab.example.com"}
agent: platform/clusters:production
credentials: {runner: {existingSecret: gitlab-runner}}
redis: {external: {existingSecret: redis}}
`

// combinations are installations that people have.
var combinations = map[string]string{
	"minimal": minimal,
	"values instead of Secrets": `
gitlab: {url: "http://gitlab.internal:8080/gitlab"}
agent: platform/clusters:production
agentId: 1234567890
credentials: {runner: {value: glrt-abc}, config: {value: glpat-abc}}
redis: {external: {url: "rediss://user:p%40ss@redis.internal:6390/2"}}
`,
	"everything brought along": minimal + `---
image:
  registry: registry.example.com:5000
  repository: mirror/towline
  tag: v9
  digest: {tunnel: "sha256:` + someDigest + `"}
  pullSecrets: [registry]
runner: {image: "example.com/runner:dev", drainTimeout: 90m, sandbox: "off", podLabels: {team: platform}}
tunnel: {replicas: 3, tolerations: [{key: dedicated, operator: Exists, effect: NoSchedule}]}
policy: {resources: {requests: {cpu: 1, memory: 64Mi}, limits: {memory: 128Mi}}, nodeSelector: {}}
---` + withCredentials,
	"configuration as a value": minimal + `---
gitlab: {url: "https://gitlab.example.com", caBundle: {existingConfigMap: company-ca, key: bundle.pem}}
config: {ci_access: {projects: [{id: group/project, access_as: {ci_job: {}}}]}}
jobs: {concurrent: 1}
log: {format: text, level: debug}
`,
	"narrowed and with an agent account": minimal + `---
access: {namespaces: [shop, shop-staging], agentServiceAccount: {create: true}}
networkPolicy:
  apiServer: {cidrs: [203.0.113.7/32], ports: [8443]}
  redis: {cidrs: [198.51.100.0/24], ports: [6380]}
`,
	"programs and caches on volumes": minimal + `---
jobs: {limits: {log: 1000000, scratch: 536870912, memory: 268435456}, debugTrace: false}
runner:
  toolbox: {volume: {persistentVolumeClaim: {claimName: tools, readOnly: true}}}
  cache: {volume: {persistentVolumeClaim: {claimName: caches}}, maxAge: 48h, maxSize: 5368709120}
`,
	"without network policies": minimal + `---
networkPolicy: {enabled: false}
`,
}

const (
	someDigest      = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	withCredentials = `
credentials:
  runner: {existingSecret: gitlab, key: runner}
  config: {existingSecret: gitlab, key: config}
  seal: {existingSecret: keys, key: seal}
  signing: {existingSecret: keys, key: sign}
`
)

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

func renderFiles(t *testing.T, to target, documents string) (map[string]string, error) {
	t.Helper()
	c := load(t)
	all, err := chartutil.ToRenderValues(c, values(t, documents), chartutil.ReleaseOptions{Name: to.release, Namespace: to.namespace, Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	if to.api != nil {
		e := engine.New(to.api)
		return e.Render(c, all)
	}
	return engine.Render(c, all)
}

func load(t *testing.T) *helmchart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// values reads one or more YAML documents; a top-level key of a later one
// replaces that of an earlier one.
func values(t *testing.T, documents string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for doc := range strings.SplitSeq(documents, "---\n") {
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
