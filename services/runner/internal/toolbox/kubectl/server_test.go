package kubectl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// apiServer is as much of an API server as ConfigMaps and access reviews need.
type apiServer struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // method, path, and user
	agents   map[string]bool
	objects  map[string]*corev1.ConfigMap
	warn     string
	hang     chan struct{} // holds the answer for the ConfigMap "hangs"
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{objects: map[string]*corev1.ConfigMap{}, agents: map[string]bool{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Server.EnableHTTP2 = true
	s.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Server.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *apiServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path+" "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	s.agents[r.UserAgent()] = true
	w.Header().Set("Content-Type", "application/json")
	if s.warn != "" {
		w.Header().Add("Warning", fmt.Sprintf("299 - %q", s.warn))
	}
	const maps = "/api/v1/namespaces/default/configmaps"
	switch name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, maps), "/"); {
	case r.URL.Path == "/api":
		io.WriteString(w, `{"kind":"APIVersions","versions":["v1"]}`)
	case r.URL.Path == "/apis":
		io.WriteString(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"authorization.k8s.io","versions":[{"groupVersion":"authorization.k8s.io/v1","version":"v1"}],"preferredVersion":{"groupVersion":"authorization.k8s.io/v1","version":"v1"}}]}`)
	case r.URL.Path == "/api/v1":
		io.WriteString(w, `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"configmaps","singularName":"configmap","namespaced":true,"kind":"ConfigMap","shortNames":["cm"],"verbs":["get","list","create","patch","delete"]}]}`)
	case r.URL.Path == "/apis/authorization.k8s.io/v1":
		io.WriteString(w, `{"kind":"APIResourceList","groupVersion":"authorization.k8s.io/v1","resources":[]}`)
	case r.URL.Path == "/version":
		io.WriteString(w, `{"major":"1","minor":"34","gitVersion":"v1.34.4"}`)
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":%t}}`, bytes.Contains(body, []byte("get")))
	case name == "hangs":
		s.mu.Unlock()
		<-s.hang
		s.mu.Lock()
	case strings.HasPrefix(r.URL.Path, maps):
		s.configMap(w, r, name)
	default:
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"not here"}`)
	}
}

func (s *apiServer) configMap(w http.ResponseWriter, r *http.Request, name string) {
	switch r.Method {
	case http.MethodPost:
		var cm corev1.ConfigMap
		_ = json.NewDecoder(r.Body).Decode(&cm)
		cm.TypeMeta = metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}
		s.objects[cm.Name] = &cm
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(cm)
	case http.MethodGet:
		if cm, ok := s.objects[name]; ok {
			_ = json.NewEncoder(w).Encode(cm)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"configmaps \"%s\" not found"}`, name)
	}
}

// count says how many requests a path had.
func (s *apiServer) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if strings.Fields(r)[1] == path {
			n++
		}
	}
	return n
}

// kubeconfig writes one whose user has the given YAML.
func (s *apiServer) kubeconfig(t testing.TB, user string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}]
contexts: [{name: c, context: {cluster: c, user: u}}, {name: other, context: {cluster: c, user: u, namespace: elsewhere}}]
users: [{name: u, user: %s}]
`, s.URL, user)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// shell is the surroundings of commands.
type shell struct {
	k     *Kubectl
	dir   string
	env   map[string]string
	stdin string
}

func newShell(t *testing.T, kubeconfig string) *shell {
	return &shell{k: New(t.TempDir()), dir: t.TempDir(), env: map[string]string{"KUBECONFIG": kubeconfig, "HOME": "/nonexistent"}}
}

func (s *shell) run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	environ := make([]string, 0, len(s.env))
	for key, value := range s.env {
		environ = append(environ, key+"="+value)
	}
	code = s.k.Run(context.Background(), tool.Invocation{
		Name: "kubectl", Args: args, Dir: s.dir, Environ: environ, Stdin: strings.NewReader(s.stdin), Stdout: &out, Stderr: &errs,
	})
	return code, out.String(), errs.String()
}
