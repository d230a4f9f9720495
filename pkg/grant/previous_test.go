package grant

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

// previous is a grant that the version before this one has signed, with all that
// it can say. Its key is one of tests.
var previous = filepath.Join("testdata", "previous.jwt")

func full() Claims {
	yes := true
	c := sample()
	c.ExpiresAt = jwt.NewNumericDate(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
	c.Agent.ID = 5
	c.Identity.UID = "gitlab:1001"
	c.Facts = Facts{
		JobName: "deploy", Image: "kubectl", GroupIDs: []int64{25, 23}, User: User{ID: 7, Username: "root", Roles: []string{"guest"}, ActsFor: 8},
		Ref: Ref{Name: "main", Type: "branch", Protected: true}, Environment: &Environment{Name: "prod", Slug: "prod", Tier: "production"},
		IDToken: &IDToken{Ref: "main", RefType: "branch", RefProtected: &yes, Environment: "prod", EnvironmentProtected: &yes, EnvironmentAction: "start", DeploymentTier: "production"},
	}
	return c
}

// A runner and a tunnel of one version take the grants of a policy of the version
// before, and it theirs: what is said is the same, under the same names.
func TestGrantsOfThePreviousVersion(t *testing.T) {
	s := newSigner(t, 'p')
	now, err := s.Sign(full())
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("RECORD") != "" { // for the next version to read
		if err := os.WriteFile(previous, []byte(now+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(previous)
	if err != nil {
		t.Fatal(err)
	}
	before := strings.TrimSpace(string(b))
	got, err := NewVerifier(NewStaticKeys(s.Public())).Verify(t.Context(), before, AudienceGate)
	if err != nil {
		t.Fatal(err)
	}
	want := full()
	want.RegisteredClaims = got.RegisteredClaims
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("a grant of the previous version is read otherwise (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(said(t, before), said(t, now)); diff != "" {
		t.Errorf("a grant says something else than one of the previous version. If that one's runners can do with it: RECORD=1 go test ./pkg/grant -run Previous (-previous +now):\n%s", diff)
	}
}

// said is what a grant says, without what differs each time.
func said(t *testing.T, token string) map[string]any {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"jti", "iat", "nbf"} {
		if _, ok := out[key]; !ok {
			t.Errorf("a grant without %s", key)
		}
		delete(out, key)
	}
	return out
}
