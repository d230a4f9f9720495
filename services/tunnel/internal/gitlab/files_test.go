package gitlab_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestFileAt(t *testing.T) {
	s := serve(t,
		reply{200, map[string]string{"ETag": `W/"1"`, "X-Gitlab-Commit-Id": "714a629c"}, "ci_access: {}\n"},
		reply{304, map[string]string{"ETag": `W/"1"`}, ""},
		reply{200, nil, strings.Repeat("x", 101)},
		reply{200, nil, strings.Repeat("x", 100)})
	c := client(t, s.URL, nil)
	read := func(etag string) (*gitlab.File, error) {
		return c.FileAt(t.Context(), "glpat-secret", "acme/agents", ".gitlab/agents/a b/config.yaml", "HEAD", etag, 100)
	}
	got, err := read("")
	if diff := cmp.Diff(&gitlab.File{Content: []byte("ci_access: {}\n"), Commit: "714a629c", ETag: `W/"1"`}, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if got, err := read(`W/"1"`); got != nil || err != nil {
		t.Errorf("unchanged: %+v, %v", got, err)
	}
	if _, err := read(""); err == nil || !strings.Contains(err.Error(), "limit of 100 bytes") {
		t.Errorf("too large: %v", err)
	}
	if got, err := read(""); err != nil || len(got.Content) != 100 {
		t.Errorf("as large as it may be: %v", err)
	}
	calls := s.seen()
	if calls[0].URI != "/api/v4/projects/acme%2Fagents/repository/files/.gitlab%2Fagents%2Fa%20b%2Fconfig.yaml/raw?ref=HEAD" ||
		calls[0].Header.Get("PRIVATE-TOKEN") != "glpat-secret" || calls[0].Header.Get("If-None-Match") != "" {
		t.Errorf("request = %s %v", calls[0].URI, calls[0].Header)
	}
	if calls[1].Header.Get("If-None-Match") != `W/"1"` {
		t.Errorf("If-None-Match = %q", calls[1].Header.Get("If-None-Match"))
	}
}

func TestFileAtFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		reply reply
		is    error
		after time.Duration
	}{
		"revoked":     {reply{401, asJSON, `{"message":"glpat-secret was revoked"}`}, gitlab.ErrRefused, 0},
		"scope":       {reply{403, asJSON, `{"message":"insufficient_scope"}`}, gitlab.ErrRefused, 0},
		"missing":     {reply{404, asJSON, `{"message":"404 File Not Found"}`}, gitlab.ErrNoFile, 0},
		"too many":    {reply{429, map[string]string{"Retry-After": "30"}, ""}, nil, 30 * time.Second},
		"broken":      {reply{500, nil, ""}, nil, 0},
		"moved":       {reply{301, map[string]string{"Location": "http://198.51.100.7/x?private_token=glpat-secret"}, ""}, nil, 0},
		"moved badly": {reply{301, map[string]string{"Location": "http://glpat-secret:%zz/"}, ""}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tt.reply)
			f, err := client(t, s.URL, nil).FileAt(t.Context(), "glpat-secret", "a/b", "x", "HEAD", "", 100)
			if f != nil || err == nil || tt.is != nil && !errors.Is(err, tt.is) || gitlab.After(err) != tt.after {
				t.Errorf("file %v, error %v", f, err)
			}
			noSecret(t, err)
		})
	}
}

func TestJobFile(t *testing.T) {
	s := serve(t, reply{200, nil, "deploy: {}\n"}, reply{404, asJSON, `{"message":"404 File Not Found"}`},
		reply{403, asJSON, `{"message":"` + jobToken + `"}`}, reply{200, nil, strings.Repeat("x", 101)}, reply{304, nil, ""})
	c := client(t, s.URL, nil)
	read := func() ([]byte, error) {
		return c.JobFile(t.Context(), jobToken, 20, ".gitlab-ci.yml", "714a629c", 100)
	}
	got, err := read()
	if string(got) != "deploy: {}\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, want := range []string{"no such project or file", "refuses the token", "limit of 100 bytes", "304"} {
		_, err := read()
		noSecret(t, err)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	call := s.seen()[0]
	if call.URI != "/api/v4/projects/20/repository/files/.gitlab-ci.yml/raw?ref=714a629c" || call.Header.Get("JOB-TOKEN") != jobToken ||
		call.Header.Get("PRIVATE-TOKEN") != "" {
		t.Errorf("request = %s %v", call.URI, call.Header)
	}
}
