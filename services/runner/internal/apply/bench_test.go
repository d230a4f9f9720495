//go:build integration

package apply_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"

	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
)

// kubectlEnv names the real kubectl; without it the benchmarks look on PATH,
// where `withcluster --kubectl` puts it.
const kubectlEnv = "TOWLINE_E2E_KUBECTL"

func realKubectl(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv(kubectlEnv); path != "" {
		return path
	}
	path, err := exec.LookPath("kubectl")
	if err != nil {
		tb.Fatalf("no kubectl to compare with: %v; run this under `withcluster --kubectl --`", err)
	}
	return path
}

// benchKinds are what a namespace holds, 50 objects in all.
var benchKinds = []struct {
	count int
	text  string
}{
	{15, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: SPACE, labels: {app: bench}}\ndata: {key: value, file: \"a\\nb\\nc\\n\"}\n"},
	{5, "apiVersion: v1\nkind: Secret\nmetadata: {name: NAME, namespace: SPACE}\nstringData: {password: not-a-secret}\n"},
	{8, "apiVersion: v1\nkind: Service\nmetadata: {name: NAME, namespace: SPACE}\nspec: {selector: {app: NAME}, clusterIP: None, ports: [{name: http, port: 80, targetPort: 8080}]}\n"},
	{8, `apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: SPACE}
spec:
  replicas: 0
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
      - name: app
        image: registry.example.com/app:1
        env: [{name: COLOUR, value: green}, {name: SHAPE, value: round}]
        ports: [{containerPort: 8080}]
        resources: {requests: {cpu: 10m, memory: 16Mi}}
        readinessProbe: {httpGet: {path: /, port: 8080}}
`},
	{5, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: NAME, namespace: SPACE}\n"},
	{4, "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: NAME, namespace: SPACE}\nrules: [{apiGroups: [\"\"], resources: [pods], verbs: [get, list]}]\n"},
	{4, "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: NAME, namespace: SPACE}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: NAME}\nsubjects: [{kind: User, name: u, apiGroup: rbac.authorization.k8s.io}]\n"},
	{1, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: NAME, namespace: SPACE}\nspec: {defaultBackend: {service: {name: NAME, port: {number: 80}}}}\n"},
}

const benchSpaces = 20

// mixed makes namespaces and files, one for each namespace, with times as many
// objects as benchKinds says.
func (s *site) mixed(prefix string, times int) map[string]string {
	s.tb.Helper()
	files := map[string]string{}
	for n := range benchSpaces {
		space := fmt.Sprintf("%s-%s-%02d", s.namespace, prefix, n)
		_, err := s.client.CoreV1().Namespaces().Create(s.tb.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}}, metav1.CreateOptions{})
		s.must(err)
		var b strings.Builder
		for k, kind := range benchKinds {
			for i := range kind.count * times {
				name := fmt.Sprintf("bench-%d-%03d", k, i)
				b.WriteString("---\n" + strings.NewReplacer("NAME", name, "SPACE", space).Replace(kind.text))
			}
		}
		files[space+".yaml"] = b.String()
	}
	return files
}

// write puts files into a folder for kubectl.
func (s *site) write(files map[string]string) string {
	dir := s.tb.TempDir()
	for name, text := range files {
		s.must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// bareWorkers is the number of requests at a time with which the API server
// does the most.
const bareWorkers = 32

// bare is how long the API server takes for the patches of a set alone: no
// order, no inventory, no look before.
func (s *site) bare(set apply.Set) time.Duration {
	s.tb.Helper()
	kinds, err := restmapper.GetAPIGroupResources(s.client.Discovery())
	s.must(err)
	mapper := restmapper.NewDiscoveryRESTMapper(kinds)
	type request struct {
		to   dynamic.ResourceInterface
		name string
		body []byte
	}
	var requests []request
	for _, o := range set.Objects {
		m, err := mapper.RESTMapping(o.Body.GroupVersionKind().GroupKind())
		s.must(err)
		body, err := o.Body.MarshalJSON()
		s.must(err)
		requests = append(requests, request{s.dynamic.Resource(m.Resource).Namespace(o.Body.GetNamespace()), o.Body.GetName(), body})
	}
	queue := make(chan request)
	failed := make(chan error, len(requests))
	var workers sync.WaitGroup
	began := time.Now()
	for range bareWorkers {
		workers.Go(func() {
			for r := range queue {
				_, err := r.to.Patch(s.tb.Context(), r.name, types.ApplyPatchType, r.body, metav1.PatchOptions{FieldManager: "bare"})
				failed <- err
			}
		})
	}
	for _, r := range requests {
		queue <- r
	}
	close(queue)
	workers.Wait()
	took := time.Since(began)
	for range requests {
		s.must(<-failed)
	}
	return took
}

// BenchmarkBesideKubectl applies 1,000 mixed objects in 20 namespaces and then
// the same again, by the engine and by the real kubectl in turns, and measures
// what the API server takes for the patches alone. Each way has namespaces of
// its own; engine times include reading the files, a new client and discovery,
// as kubectl's do. e2e/bench holds the figures to goals.
//
//	go run ./e2e/cluster/cmd/withcluster --kubectl -- \
//	  go test -tags integration -run '^$' -bench BesideKubectl -benchtime 1x ./services/runner/internal/apply/
func BenchmarkBesideKubectl(b *testing.B) {
	const rounds, ofKubectl = 7, 3
	kubectl := realKubectl(b)
	home := b.TempDir()
	run := func(args ...string) time.Duration {
		cmd := exec.Command(kubectl, args...)
		cmd.Env = append(os.Environ(), "HOME="+home, "KUBECONFIG="+os.Getenv(clusterEnv))
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("kubectl %q: %v\n%s", args, err, out[max(0, len(out)-2000):])
		}
		return time.Since(began)
	}
	for b.Loop() {
		took := map[string][]time.Duration{}
		s := open(b)
		run("api-resources") // fills its cache
		for n := range rounds {
			own := s.mixed("own"+strconv.Itoa(n), 1)
			s.options.Inventory = inventory.Place{ID: "bench-" + strconv.Itoa(n), Namespace: s.namespace}
			engine := func(way, want string) {
				began := time.Now()
				e, err := apply.New(s.config)
				s.must(err)
				rep, err := e.Apply(b.Context(), s.read(own), s.options)
				took[way] = append(took[way], time.Since(began))
				s.must(err)
				s.expect(rep, want)
			}
			took["bare, first"] = append(took["bare, first"], s.bare(s.read(s.mixed("bare"+strconv.Itoa(n), 1))))
			engine("engine, first", "1000 created")
			if n >= ofKubectl {
				continue
			}
			server := s.write(s.mixed("server"+strconv.Itoa(n), 1))
			client := s.write(s.mixed("client"+strconv.Itoa(n), 1))
			took["server-side, first"] = append(took["server-side, first"], run("apply", "--server-side", "-f", server))
			took["client-side, first"] = append(took["client-side, first"], run("apply", "-f", client))
			engine("engine, again", "1000 unchanged")
			took["server-side, again"] = append(took["server-side, again"], run("apply", "--server-side", "-f", server))
			if n == 0 {
				took["client-side, again"] = append(took["client-side, again"], run("apply", "-f", client))
			}
		}
		for _, way := range sortedKeys(took) {
			b.Logf("%-20s %v", way, took[way])
			b.ReportMetric(float64(median(took[way]).Milliseconds()), strings.ReplaceAll(way, ", ", "-")+"-ms")
		}
		b.Logf("engine, first: %.0f objects/s; as bare requests: %.0f", 1000/median(took["engine, first"]).Seconds(), 1000/median(took["bare, first"]).Seconds())
		// A first apply is bound by the API server's CPU: on a busy machine there
		// is nothing left to be faster with.
		if load, err := os.ReadFile("/proc/loadavg"); err == nil {
			b.Logf("load average: %s", bytes.TrimSpace(load))
		}
	}
}

// actAsRunEnv makes the test binary apply a folder once and print its memory.
const actAsRunEnv = "TOWLINE_APPLY_TEST_FOLDER"

// TestActAsRun is not a test: BenchmarkMemory runs it in a process of its own.
func TestActAsRun(t *testing.T) {
	dir := os.Getenv(actAsRunEnv)
	if dir == "" {
		t.Skip("only a helper")
	}
	s := open(t)
	s.options.Inventory = inventory.Place{ID: "bench", Namespace: os.Getenv("TOWLINE_APPLY_TEST_NAMESPACE")}
	rep := s.sync(s.folder(dir))
	status, err := os.ReadFile("/proc/self/status")
	s.must(err)
	fmt.Printf("%s: %s\n", summary(&rep), regexp.MustCompile(`VmHWM:\s+\d+`).Find(status))
}

// BenchmarkMemory is the peak memory of a process that applies 5,000 objects,
// and of one that finds them unchanged.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		s := open(b)
		dir := s.write(s.mixed("memory", 5))
		for _, way := range []string{"first", "again"} {
			cmd := exec.Command(os.Args[0], "-test.run=^TestActAsRun$")
			cmd.Env = append(os.Environ(), actAsRunEnv+"="+dir, "TOWLINE_APPLY_TEST_NAMESPACE="+s.namespace)
			out, err := cmd.CombinedOutput()
			m := regexp.MustCompile(`VmHWM:\s+(\d+)`).FindSubmatch(out)
			if err != nil || m == nil {
				b.Fatalf("%v\n%s", err, out)
			}
			kib, _ := strconv.Atoi(string(m[1]))
			b.Logf("%s: %s", way, bytes.TrimSpace(out[:bytes.IndexByte(out, '\n')]))
			b.ReportMetric(float64(kib)/1024, way+"-MiB")
		}
	}
}
