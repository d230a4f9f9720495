package gitlab_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestIDTokenKeys(t *testing.T) {
	const elsewhere = `{"issuer":"https://gitlab.example.com","jwks_uri":"https://evil.example.com/keys"}`
	s := serve(t, reply{200, asJSON, elsewhere}, reply{200, asJSON, `{"keys":[]}`})
	got, err := client(t, s.URL, nil).IDTokenKeys(t.Context())
	if err != nil || got.Issuer != "https://gitlab.example.com" || string(got.JWKS) != `{"keys":[]}` {
		t.Fatalf("%+v, %v", got, err)
	}
	calls := s.seen()
	if len(calls) != 2 || calls[0].URI != "/.well-known/openid-configuration" || calls[1].URI != "/oauth/discovery/keys" {
		t.Errorf("requests = %+v", calls)
	}
	for _, c := range calls {
		for _, h := range []string{"Job-Token", "Runner-Token", "Private-Token", "Authorization"} {
			if c.Header.Get(h) != "" {
				t.Errorf("%s carries %s", c.URI, h)
			}
		}
	}
}

func TestIDTokenKeysFailures(t *testing.T) {
	found := reply{200, asJSON, `{"issuer":"https://gitlab.example.com"}`}
	page := map[string]string{"Content-Type": "text/html"}
	for name, tt := range map[string]struct {
		replies []reply
		refused bool
		want    string
	}{
		"no discovery":       {[]reply{{404, asJSON, `{}`}}, true, "issuer"},
		"no keys":            {[]reply{found, {404, page, ""}}, true, "keys"},
		"forbidden":          {[]reply{found, {403, page, ""}}, true, "403"},
		"a page":             {[]reply{found, {200, page, "<html>"}}, false, "without JSON"},
		"another shape":      {[]reply{{200, asJSON, `{"issuer":7}`}}, false, "another shape"},
		"no issuer":          {[]reply{{200, asJSON, `{}`}}, false, "not an address"},
		"an endless issuer":  {[]reply{{200, asJSON, `{"issuer":"https://a/` + strings.Repeat("x", 1024) + `"}`}}, false, "not an address"},
		"away":               {[]reply{{503, page, ""}}, false, "503"},
		"keys without limit": {[]reply{found, {200, asJSON, strings.Repeat(" ", 64<<10+1)}}, false, "over the limit"},
	} {
		_, err := client(t, serve(t, tt.replies...).URL, nil).IDTokenKeys(t.Context())
		if err == nil || errors.Is(err, gitlab.ErrRefused) != tt.refused || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
