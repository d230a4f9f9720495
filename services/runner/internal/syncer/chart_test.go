package syncer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/pace/pacetest"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/release"
)

// full is an entry with all that one may say of a release.
func full() agentconfig.Manifests {
	return agentconfig.Manifests{
		DefaultNamespace: "web", Ignore: []agentconfig.Ignore{{Kind: "Deployment", Paths: []string{"/spec/replicas"}}},
		Chart: &agentconfig.Chart{
			Release: "shop", Path: "charts/shop", MaxHistory: 7, CreateNamespace: true, Wait: true, WaitForJobs: true, Atomic: true,
			Timeout: time.Minute, CRDs: "create-replace", Install: agentconfig.ChartRemedy{OnFailure: "uninstall", Attempts: 2},
			Upgrade: agentconfig.ChartRemedy{OnFailure: "rollback", Attempts: 3}, Force: true, Tests: "report", Drift: "correct",
			Patches: []agentconfig.ChartPatch{{Patch: "a: b", Kind: "Deployment", Labels: "c=d"}},
			Values: []agentconfig.ChartValues{
				{Inline: "a: 1\n"},
				{File: "values/prod.yaml"},
				{ConfigMap: &agentconfig.ValuesKey{Name: "m", Key: "k"}},
				{Secret: &agentconfig.ValuesKey{Name: "s", Target: "a.b", Optional: true}},
				{File: "values/prod.yaml", Project: "acme/values"},
			},
		},
	}
}

func TestEveryWordOfAReleaseReachesTheEngine(t *testing.T) {
	dir := t.TempDir()
	req := &Request{Task: syncspec.Task{Entry: full()}, Dir: dir, Namespaces: []string{"web"}}
	files := []syncspec.File{{Path: "charts/shop/Chart.yaml", Content: []byte("name: shop")}, {Path: ".towline-values/4", Content: []byte("a: 3")}, {Path: "values/prod.yaml", Content: []byte("a: 2")}}
	got, err := releaseSpec(t.Context(), &rest.Config{}, req, files)
	if err != nil {
		t.Fatal(err)
	}
	want := &release.Spec{
		Name: "shop", Namespace: "web", Namespaces: []string{"web"}, MaxHistory: 7, CreateNamespace: true, Wait: true, WaitForJobs: true, Atomic: true,
		Timeout: time.Minute, CRDs: release.CRDCreateReplace, Force: true,
		Install: release.Remedy{OnFailure: release.RemedyUninstall, Attempts: 2}, Upgrade: release.Remedy{OnFailure: release.RemedyRollback, Attempts: 3},
		Drift:   release.Drift{Mode: release.DriftCorrect, Ignore: []fields.Rule{{Kind: "Deployment", Paths: []string{"/spec/replicas"}}}},
		Test:    release.Test{Enabled: true, Tolerate: true},
		Patches: []release.Patch{{Patch: "a: b", Kind: "Deployment", Labels: "c=d"}},
		Chart:   release.Chart{Directory: &release.Directory{Root: filepath.Join(dir, "repository"), Path: "charts/shop"}},
		Values: []release.Values{
			{Source: "values[0] (inline)", Text: []byte("a: 1\n")},
			{Source: "values[1] (values/prod.yaml)", Text: []byte("a: 2")},
			{Source: "values[2] (ConfigMap m)", ConfigMap: &release.Reference{Name: "m", Key: "k"}},
			{Source: "values[3] (Secret s)", Secret: &release.Reference{Name: "s", Target: "a.b", Optional: true}},
			{Source: "values[4] (values/prod.yaml)", Text: []byte("a: 3")},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i := range reflect.TypeFor[release.Spec]().NumField() {
		if reflect.ValueOf(*got).Field(i).IsZero() {
			t.Errorf("%s never arrives", reflect.TypeFor[release.Spec]().Field(i).Name)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "repository/charts/shop/Chart.yaml")); string(text) != "name: shop" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "repository/.towline-values")); !os.IsNotExist(err) {
		t.Errorf("values of elsewhere are among the chart's files: %v", err)
	}
	files = files[:1]
	if _, err := releaseSpec(t.Context(), &rest.Config{}, req, files); err == nil || err.Error() != "values[1]: the repository has no file values/prod.yaml" {
		t.Error(err)
	}
}

func TestOnlyWhatNeedsItMayLeaveTheCluster(t *testing.T) {
	m := full()
	if leavesCluster(m) || leavesCluster(agentconfig.Manifests{}) {
		t.Error("an entry without addresses may leave the cluster")
	}
	m.Chart.Values = []agentconfig.ChartValues{{URL: &agentconfig.ValuesURL{URL: "https://h/v"}}}
	if !leavesCluster(m) {
		t.Error("values behind an address cannot be fetched")
	}
	m.Chart.Values, m.Chart.Repository = nil, &agentconfig.ChartRepository{URL: "https://h", Chart: "c"}
	if !leavesCluster(m) {
		t.Error("a chart of a repository cannot be fetched")
	}
	req := Request{GatePort: 1, EgressPort: 2}
	if diff := cmp.Diff([]uint16{1, 2}, req.ports()); diff != "" {
		t.Error(diff)
	}
	req.EgressPort = 0
	if diff := cmp.Diff([]uint16{1}, req.ports()); diff != "" {
		t.Error(diff)
	}
}

// outside is the way out and all servers behind it.
func outside(t *testing.T, answer http.HandlerFunc) *Request {
	t.Helper()
	proxy := httptest.NewServer(answer)
	t.Cleanup(proxy.Close)
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Token: "grant", EgressPort: uint16(port)}
}

func TestValuesBehindAnAddress(t *testing.T) {
	say := func(code int, kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			basic := &http.Request{Header: http.Header{"Authorization": r.Header.Values("Proxy-Authorization")}}
			if _, grant, _ := basic.BasicAuth(); grant != "grant" || r.URL.Host != "values.example.com" || !strings.Contains(r.Header.Get("Accept"), "application/yaml") {
				code = http.StatusTeapot
			}
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(code)
			fmt.Fprint(w, text)
		}
	}
	for name, tt := range map[string]struct {
		answer     http.HandlerFunc
		text, want string
	}{
		"yaml":      {say(200, "application/yaml", "a: 1"), "a: 1", ""},
		"json":      {say(200, "application/json; charset=utf-8", "{}"), "{}", ""},
		"nothing":   {say(204, "", ""), "{}", ""},
		"a page":    {say(200, "text/html", "<html>"), "", `it answers with "text/html"; values are application/yaml or application/json`},
		"a mistake": {say(404, "text/plain", "what?"), "", "404 Not Found"},
		"refused":   {say(403, "text/plain", "towline: values.example.com:80 is not among the hosts that jobs and syncs may reach\n"), "", "towline: values.example.com:80 is not among the hosts that jobs and syncs may reach"},
		"too large": {say(200, "application/yaml", strings.Repeat("#", 101)), "", "more than 100 bytes; raise max_file_size, or make it smaller"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := fetchValues(t.Context(), outside(t, tt.answer), &agentconfig.ValuesURL{URL: "http://values.example.com/shop.yaml?token=geheim", MaxSize: 100})
			if string(got) != tt.text {
				t.Errorf("%q", got)
			}
			if tt.want != "" && (err == nil || err.Error() != "http://values.example.com/shop.yaml: "+tt.want) || tt.want == "" && err != nil {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := fetchValues(ctx, outside(t, say(200, "application/yaml", "")), &agentconfig.ValuesURL{URL: "http://values.example.com/shop.yaml?token=geheim", MaxSize: 100})
	if err == nil || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "grant") {
		t.Error(err)
	}
}

// Addresses that hardly answer end with all values' time, and say so.
func TestSlowValues(t *testing.T) {
	text := []byte("size: large\n")
	typed := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/yaml")
			next(w, r)
		}
	}
	for name, answer := range map[string]http.HandlerFunc{"trickling": pacetest.Trickle(text, 1), "stalled": pacetest.Stall(text), "silent": pacetest.Silent} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("enough"))
			defer cancel()
			_, err := fetchValues(ctx, outside(t, typed(answer)), &agentconfig.ValuesURL{URL: "http://values.example.com/shop.yaml?token=geheim", MaxSize: 100})
			if err == nil || err.Error() != "http://values.example.com/shop.yaml: enough" {
				t.Error(err)
			}
		})
	}
}

func TestCredentialsOfRepositories(t *testing.T) {
	const docker = `{"auths": {"https://registry.example.com": {"username": "u", "password": "p"}}}`
	for name, tt := range map[string]struct {
		data map[string]string
		want release.Repository
		err  string
	}{
		"basic":        {map[string]string{"username": "u", "password": "p"}, release.Repository{Username: "u", Password: "p", CA: "operator"}, ""},
		"docker":       {map[string]string{".dockerconfigjson": docker}, release.Repository{Username: "u", Password: "p", CA: "operator"}, ""},
		"authority":    {map[string]string{"ca.crt": "theirs"}, release.Repository{CA: "operator\ntheirs\n"}, ""},
		"all":          {map[string]string{"username": "u", "ca.crt": "theirs"}, release.Repository{Username: "u", CA: "operator\ntheirs\n"}, ""},
		"nothing":      {map[string]string{"user": "u"}, release.Repository{CA: "operator"}, "it needs the keys username and password, or .dockerconfigjson, or ca.crt"},
		"another host": {map[string]string{".dockerconfigjson": `{"auths": {"h": {"username": "u"}}}`}, release.Repository{CA: "operator"}, ".dockerconfigjson has no username for registry.example.com"},
		"no JSON":      {map[string]string{".dockerconfigjson": "geheim"}, release.Repository{CA: "operator"}, ".dockerconfigjson is not JSON as docker login writes it"},
	} {
		t.Run(name, func(t *testing.T) {
			got := release.Repository{URL: "oci://registry.example.com/charts", CA: "operator"}
			err := credentials(&got, tt.data)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
				t.Error(err)
			}
			tt.want.URL = got.URL
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzDockerCredentials(f *testing.F) {
	f.Add(`{"auths": {"h": {"username": "u", "password": "p"}}}`)
	f.Add(`{"auths": null}`)
	f.Fuzz(func(t *testing.T, text string) {
		r := release.Repository{URL: "oci://h/charts"}
		if err := dockerCredentials(&r, text); (err == nil) == (r.Username == "") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
