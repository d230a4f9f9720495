package gitlab_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestTags(t *testing.T) {
	one, two := strings.Repeat("1", 40), strings.Repeat("2", 40)
	s := serve(t,
		reply{200, with(map[string]string{"ETag": `W/"1"`, "X-Next-Page": "2"}), `[{"name":"v2","commit":{"id":"` + two + `"}},{"name":"of a file","commit":null},{"name":"odd","commit":{"id":"../x"}}]`},
		reply{304, nil, ""},
		reply{200, with(map[string]string{"X-Next-Page": ""}), `[{"name":"v1","commit":{"id":"` + one + `"}}]`},
		reply{404, asJSON, `{"message":"404 Project Not Found"}`},
		reply{200, asJSON, `{"name":"v1"}`})
	c := client(t, s.URL, nil)
	page, err := c.Tags(t.Context(), "glpat-secret", "acme/shop", 1, "")
	if diff := cmp.Diff(&gitlab.TagPage{Tags: []gitlab.Tag{{Name: "v2", Commit: two}}, ETag: `W/"1"`, More: true}, page); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if page, err = c.Tags(t.Context(), "glpat-secret", "acme/shop", 1, `W/"1"`); page != nil || err != nil {
		t.Errorf("unchanged: %+v, %v", page, err)
	}
	if page, err = c.Tags(t.Context(), "glpat-secret", "acme/shop", 2, ""); err != nil || page.More || len(page.Tags) != 1 {
		t.Errorf("the last page: %+v, %v", page, err)
	}
	if _, err = c.Tags(t.Context(), "glpat-secret", "acme/shop", 1, ""); !errors.Is(err, gitlab.ErrNoFile) {
		t.Errorf("no project: %v", err)
	}
	if _, err = c.Tags(t.Context(), "glpat-secret", "acme/shop", 1, ""); err == nil {
		t.Error("something else than a list was accepted")
	}
	calls := s.seen()
	if calls[0].URI != "/api/v4/projects/acme%2Fshop/repository/tags?order_by=version&page=1&per_page=100&sort=desc" || calls[1].Header.Get("If-None-Match") != `W/"1"` {
		t.Errorf("%s %v", calls[0].URI, calls[1].Header)
	}
}
