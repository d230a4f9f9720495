package gitlabsim

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func call(t *testing.T, s *Server, method, path, token, etag, body string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+"/api/v4"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("PRIVATE-TOKEN", token)
	req.Header.Set("Content-Type", "application/json")
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b
}

func TestCommitsArchivesAndStatuses(t *testing.T) {
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.CreateProject(ProjectOptions{Path: "acme/shop"}); err != nil {
		t.Fatal(err)
	}
	sha, err := s.Push("acme/shop", "", map[string]string{"k8s/a.yaml": "a: 1\n", "README.md": "x"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.CreateAccessToken(AccessTokenOptions{Project: "acme/shop", Scopes: []string{"api"}})
	if err != nil {
		t.Fatal(err)
	}
	code, h, body := call(t, s, "GET", "/projects/acme%2Fshop/repository/commits/HEAD", token, "", "")
	if code != 200 || !bytes.Contains(body, []byte(`"id":"`+sha+`"`)) {
		t.Fatalf("%d %s", code, body)
	}
	if code, _, _ := call(t, s, "GET", "/projects/acme%2Fshop/repository/commits/main", token, h.Get("ETag"), ""); code != 304 {
		t.Errorf("unchanged: %d", code)
	}
	if code, _, _ := call(t, s, "GET", "/projects/acme%2Fshop/repository/commits/gone", token, "", ""); code != 404 {
		t.Errorf("no such ref: %d", code)
	}
	code, _, body = call(t, s, "GET", "/projects/acme%2Fshop/repository/archive.tar.gz?sha="+sha+"&path=k8s", token, "", "")
	z, err := gzip.NewReader(bytes.NewReader(body))
	if code != 200 || err != nil {
		t.Fatalf("%d %v", code, err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		e, err := r.Next()
		if err != nil {
			break
		}
		names = append(names, e.Name)
	}
	if got := names[len(names)-1]; got != "shop-"+sha+"-"+sha+"-k8s/k8s/a.yaml" {
		t.Errorf("archive holds %v", names)
	}
	for _, tag := range []string{"v1.9.0", "v1.10.0", "v1.2.0"} {
		if err := s.CreateTag("acme/shop", tag, "main"); err != nil {
			t.Fatal(err)
		}
	}
	code, h, body = call(t, s, "GET", "/projects/acme%2Fshop/repository/tags?order_by=version&sort=desc&per_page=2", token, "", "")
	first, second := bytes.Index(body, []byte(`"name":"v1.10.0"`)), bytes.Index(body, []byte(`"name":"v1.9.0"`))
	if code != 200 || first < 0 || second < first || bytes.Contains(body, []byte("v1.2.0")) || h.Get("X-Next-Page") != "2" || bytes.Count(body, []byte(`"id":"`+sha+`"`)) != 2 {
		t.Errorf("tags: %d %s %v", code, body, h)
	}
	if code, _, _ := call(t, s, "GET", "/projects/acme%2Fshop/repository/tags?order_by=version&sort=desc&per_page=2", token, h.Get("ETag"), ""); code != 304 {
		t.Errorf("tags unchanged: %d", code)
	}
	if code, _, _ := call(t, s, "GET", "/projects/acme%2Fshop/repository/tags?order_by=date", token, "", ""); code != 400 {
		t.Errorf("tags in no order: %d", code)
	}
	for _, tt := range []struct {
		state string
		want  int
	}{{"pending", 201}, {"pending", 400}, {"running", 201}, {"success", 201}, {"pending", 201}, {"bogus", 400}} {
		if code, _, body := call(t, s, "POST", "/projects/acme%2Fshop/statuses/"+sha, token, "", `{"state":"`+tt.state+`","name":"gitops"}`); code != tt.want {
			t.Errorf("%s: %d %s", tt.state, code, body)
		}
	}
	page := "https://gitlab.example.com/acme/agents/-/cluster_agents/main"
	for _, tt := range []struct {
		address string
		want    int
	}{{page, 201}, {"", 400}, {"acme/agents", 400}, {"javascript:alert(1)", 400}, {page + strings.Repeat("x", 255-len(page)), 201}, {page + strings.Repeat("x", 256-len(page)), 400}} {
		body := fmt.Sprintf(`{"state":"success","name":"linked","target_url":%q}`, tt.address)
		if code, _, answer := call(t, s, "POST", "/projects/acme%2Fshop/statuses/"+sha, token, "", body); code != tt.want {
			t.Errorf("%q: %d %s", tt.address, code, answer)
		} else if code == 400 && !bytes.Contains(answer, []byte(`"target_url":[`)) {
			t.Errorf("%q: %s", tt.address, answer)
		}
	}
	if all, err := s.CommitStatuses("acme/shop", sha); err != nil || len(all) != 4 || all[0].Status != "success" || all[1].Status != "pending" || all[2].TargetURL != page {
		t.Errorf("%+v, %v", all, err)
	}
}
