package intake

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/policyapi"
)

// token is a JWT in form; nobody has signed it.
func token(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","kid":"one"}`)) + "." + encode([]byte(claims)) + ".c2lnbmVk"
}

func variables(values ...string) jobspec.Variables {
	var out jobspec.Variables
	for i, v := range values {
		out = append(out, jobspec.Variable{Key: fmt.Sprintf("V%d", i), Value: v, Masked: true})
	}
	return out
}

func TestWhichVariablesAreIDTokens(t *testing.T) {
	ours, list := token(`{"aud":"towline"}`), token(`{"aud":["vault","towline"]}`)
	for name, tt := range map[string]struct {
		in   jobspec.Variables
		want []string
	}{
		"none":             {variables("", "a.b.c", "eyJ", "eyJ.x.y"), nil},
		"one audience":     {variables(ours), []string{ours}},
		"several":          {variables(list), []string{list}},
		"for others":       {variables(token(`{"aud":"vault"}`), token(`{"aud":"towline2"}`), token(`{"aud":7}`), token(`{}`)), nil},
		"not JSON":         {variables(token(`{"aud":"towline"`)), nil},
		"a job token":      {variables("glcbt-"+ours, "glcbt-"+token(`{"sub":"gid://gitlab/Ci::Build/1"}`)), nil},
		"the same twice":   {variables(ours, ours), []string{ours}},
		"two":              {variables(ours, "x", list), []string{ours, list}},
		"padding around":   {variables(" "+ours, ours+"\n", "Bearer "+ours), nil},
		"no signed part":   {variables(ours[:strings.LastIndexByte(ours, '.')]), nil},
		"one too long":     {variables(token(`{"aud":"towline","x":"` + strings.Repeat("x", policyapi.MaxIDToken) + `"}`)), nil},
		"as many as count": {variables(sixTokens()...), sixTokens()[:policyapi.MaxIDTokens]},
	} {
		if diff := cmp.Diff(tt.want, idTokens(tt.in)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func sixTokens() []string {
	var out []string
	for i := range 6 {
		out = append(out, token(fmt.Sprintf(`{"aud":"towline","jti":"%d"}`, i)))
	}
	return out
}

func TestIDTokensAreSentWithTheirKeys(t *testing.T) {
	t.Parallel()
	keys := &policyapi.IDTokenKeys{Issuer: "https://gitlab.example.com", JWKS: []byte(`{}`)}
	ours := token(`{"aud":"towline"}`)
	w, j := &witnessed{agents: truth(t), keys: keys}, &judge{decision: allowed}
	a := admit(t, w, j, variables(ours, token(`{"aud":"vault"}`))...)
	a.must(a.err)
	if e := j.evidence[0]; !cmp.Equal(e.IDTokens, []string{ours}) || e.IDTokenKeys != keys || !cmp.Equal(w.forTokens, []string{ours}) {
		t.Errorf("evidence = %+v, keys asked for %q", e, w.forTokens)
	}
	if strings.Contains(a.lines.String(), "eyJ") {
		t.Errorf("a token was logged:\n%s", a.lines)
	}
}

func TestWithoutKeysNothingIsDecidedOrNothingIsVerified(t *testing.T) {
	t.Parallel()
	ours := token(`{"aud":"towline"}`)
	w, j := &witnessed{agents: truth(t), keysErr: errors.New("GitLab is away")}, &judge{decision: allowed}
	if a := admit(t, w, j, variables(ours)...); a.err == nil || len(j.evidence) > 0 {
		t.Errorf("decided without keys: %v", a.err)
	}
	w, j = &witnessed{agents: truth(t)}, &judge{decision: allowed}
	a := admit(t, w, j, variables(ours)...)
	a.must(a.err)
	if e := j.evidence[0]; len(e.IDTokens) != 1 || e.IDTokenKeys != nil {
		t.Errorf("evidence = %+v", e)
	}
	w, j = &witnessed{agents: truth(t), keysErr: errors.New("GitLab is away")}, &judge{decision: allowed}
	a = admit(t, w, j)
	a.must(a.err)
	if w.forTokens != nil || j.evidence[0].IDTokenKeys != nil {
		t.Error("keys were asked for although there is no token")
	}
}

func FuzzIDTokens(f *testing.F) {
	f.Add(token(`{"aud":["vault","towline"]}`), token(`{"aud":"towline"}`))
	f.Add("eyJ..", "eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, a, b string) {
		in := variables(a, b, a)
		got := idTokens(in)
		if len(got) > 2 {
			t.Fatalf("%d tokens of two", len(got))
		}
		for _, token := range got {
			if token != a && token != b || strings.Count(token, ".") != 2 {
				t.Fatalf("%q is not a variable's value", token)
			}
		}
	})
}
