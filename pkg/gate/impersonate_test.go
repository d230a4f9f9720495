package gate_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
)

const agentUser = "system:serviceaccount:towline:agent"

func asAgent(c *grant.Claims) {
	c.Identity = grant.Identity{Mode: grant.ModeAgent, User: agentUser}
}

// reviewer answers access reviews as an API server that lets the agent
// impersonate some, and remembers what it was asked.
type reviewer struct {
	allowed []string

	mu    sync.Mutex
	asked []string
	ill   bool
}

func (v *reviewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews") {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	var review authorizationv1.SelfSubjectAccessReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || v.ill {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	a := review.Spec.ResourceAttributes
	q := fmt.Sprintf("%s may %s %s", r.Header.Get("Impersonate-User"), a.Verb, strings.Join([]string{a.Group, a.Resource, a.Subresource, a.Namespace, a.Name}, "/"))
	v.asked = append(v.asked, q)
	review.Status.Allowed = slices.Contains(v.allowed, strings.TrimPrefix(q, agentUser+" may impersonate "))
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(review)
}

// as sends a request with headers and returns the answer and what arrived beside
// reviews.
func (b *bench) as(token string, headers map[string][]string) (*http.Response, *http.Request) {
	b.tb.Helper()
	r := b.request(http.MethodGet, "/api/v1/namespaces/a/pods", token, nil)
	for name, values := range headers {
		r.Header[name] = values
	}
	resp := b.do(r)
	for {
		got := b.forwarded()
		if got == nil || !strings.HasSuffix(got.URL.Path, "reviews") {
			return resp, got
		}
	}
}

func TestAJobThatIsTheAgentMayActAsOthers(t *testing.T) {
	v := &reviewer{allowed: []string{"/users///ada", "/groups///team", "authentication.k8s.io/uids///u-1", "authentication.k8s.io/userextras/example.com/why//because"}}
	b := open(t, v.ServeHTTP)
	token, _ := b.session(asAgent)
	headers := map[string][]string{
		"Impersonate-User": {"ada"}, "Impersonate-Group": {"team"}, "Impersonate-Uid": {"u-1"}, "Impersonate-Extra-Example.com%2fwhy": {"because"},
	}
	for range 2 {
		resp, got := b.as(token, headers)
		if resp.StatusCode != http.StatusOK || got == nil {
			t.Fatalf("%s", resp.Status)
		}
		want := map[string][]string{"Authorization": {"Bearer " + ownToken}}
		for name, values := range headers {
			want[name] = values
		}
		if diff := cmp.Diff(want, identityHeaders(got.Header)); diff != "" {
			t.Error(diff)
		}
	}
	want := []string{
		agentUser + " may impersonate /users///ada", agentUser + " may impersonate authentication.k8s.io/uids///u-1",
		agentUser + " may impersonate /groups///team", agentUser + " may impersonate authentication.k8s.io/userextras/example.com/why//because",
	}
	if diff := cmp.Diff(want, v.asked); diff != "" {
		t.Errorf("the API server was asked twice, or something else:\n%s", diff)
	}
	resp, got := b.as(token, nil)
	if resp.StatusCode != http.StatusOK || got.Header.Get("Impersonate-User") != agentUser {
		t.Errorf("without the headers: %s, %v", resp.Status, got)
	}
}

func TestWhomAnAgentsJobMayNotActAs(t *testing.T) {
	v := &reviewer{allowed: []string{"/users///ada", "/users///system:admin", "/groups///system:masters"}}
	b := open(t, v.ServeHTTP)
	token, _ := b.session(asAgent)
	for name, c := range map[string]struct {
		headers map[string][]string
		code    int
		text    string
	}{
		"another user":         {map[string][]string{"Impersonate-User": {"bob"}}, 403, agentUser + ` cannot impersonate users "bob"`},
		"another group":        {map[string][]string{"Impersonate-User": {"ada"}, "Impersonate-Group": {"team"}}, 403, `cannot impersonate groups "team"`},
		"masters":              {map[string][]string{"Impersonate-User": {"ada"}, "Impersonate-Group": {"system:masters"}}, 403, "--system-names"},
		"masters, spelt oddly": {map[string][]string{"Impersonate-User": {"ada"}, "Impersonate-Group": {"System:Masters"}}, 403, "--system-names"},
		"a system user":        {map[string][]string{"Impersonate-User": {"system:admin"}}, 403, "--system-names"},
		"a node":               {map[string][]string{"Impersonate-User": {"system:node:n"}}, 403, "--system-names"},
		"a ServiceAccount":     {map[string][]string{"Impersonate-User": {"system:serviceaccount:kube-system:x"}}, 403, "--system-names"},
		"two users":            {map[string][]string{"Impersonate-User": {"ada", "bob"}}, 400, "one value"},
		"two spellings":        {map[string][]string{"Impersonate-User": {"ada"}, "impersonate-user": {"bob"}}, 400, "one value"},
		"a group alone":        {map[string][]string{"Impersonate-Group": {"team"}}, 400, "--as is needed"},
		"an empty user":        {map[string][]string{"Impersonate-User": {""}}, 400, "--as is needed"},
		"an unknown header":    {map[string][]string{"Impersonate-User": {"ada"}, "Impersonate-Scope": {"x"}}, 400, "no such header"},
		"an unreadable extra":  {map[string][]string{"Impersonate-User": {"ada"}, "Impersonate-Extra-%zz": {"x"}}, 400, "cannot be read"},
		"too many":             {map[string][]string{"Impersonate-User": {"ada"}, "Impersonate-Group": strings.Split(strings.Repeat("g,", 40)+"g", ",")}, 400, "over the limit"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, got := b.as(token, c.headers)
			if got != nil {
				t.Fatalf("forwarded: %v", got.Header)
			}
			if st := status(t, resp); int(st.Code) != c.code || !strings.Contains(st.Message, c.text) || !strings.HasSuffix(st.Message, `(gate rule "identity")`) {
				t.Errorf("Status = %+v", st)
			}
		})
	}
	v.mu.Lock()
	v.ill = true
	v.mu.Unlock()
	if resp, got := b.as(token, map[string][]string{"Impersonate-User": {"carol"}}); resp.StatusCode != http.StatusServiceUnavailable || got != nil {
		t.Errorf("an API server that does not say: %s", resp.Status)
	}
}

func TestTheOwnerCanAllowSystemNames(t *testing.T) {
	v := &reviewer{allowed: []string{"/users///ada", "/groups///system:masters", "/groups///system:nodes"}}
	b := open(t, v.ServeHTTP)
	b.rebuild(func(c *gate.Config) { c.SystemNames = []string{"system:masters"} })
	token, _ := b.session(asAgent)
	as := func(group string) int {
		resp, _ := b.as(token, map[string][]string{"Impersonate-User": {"ada"}, "Impersonate-Group": {group}})
		return resp.StatusCode
	}
	if got := as("system:masters"); got != http.StatusOK {
		t.Errorf("allowed: %d", got)
	}
	if got := as("system:nodes"); got != http.StatusForbidden {
		t.Errorf("not allowed: %d", got)
	}
}
