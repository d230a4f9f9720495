package forgery

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// asked is what the Kubernetes API is asked about each ServiceAccount.
var asked = map[string]authorizationv1.ResourceAttributes{
	"everything":                {Verb: "*", Group: "*", Resource: "*"},
	"read secrets":              {Verb: "get", Resource: "secrets"},
	"read ConfigMaps":           {Verb: "list", Resource: "configmaps"},
	"create pods":               {Verb: "create", Resource: "pods"},
	"bind roles":                {Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "rolebindings"},
	"make tokens":               {Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
	"review tokens":             {Verb: "create", Group: "authentication.k8s.io", Resource: "tokenreviews"},
	"review access":             {Verb: "create", Group: "authorization.k8s.io", Resource: "subjectaccessreviews"},
	"act as a job":              {Verb: "impersonate", Resource: "users", Name: "gitlab:ci_job:1"},
	"act as any user":           {Verb: "impersonate", Resource: "users", Name: "kubernetes-admin"},
	"act as a group of jobs":    {Verb: "impersonate", Resource: "groups", Name: "gitlab:ci_job"},
	"act as system:masters":     {Verb: "impersonate", Resource: "groups", Name: "system:masters"},
	"act as a ServiceAccount":   {Verb: "impersonate", Resource: "serviceaccounts", Namespace: "kube-system", Name: "default"},
	"act with a job's extras":   {Verb: "impersonate", Group: "authentication.k8s.io", Resource: "userextras", Subresource: "agent.gitlab.com/project_id", Name: "1"},
	"act with somebody's scope": {Verb: "impersonate", Group: "authentication.k8s.io", Resource: "userextras", Subresource: "scopes", Name: "x"},
}

// accounts asks the real API server what each ServiceAccount may do. The rig
// gives them what the chart gives.
func accounts(t *testing.T, s *site) {
	impersonator := []string{"act as a group of jobs", "act as a job", "act as any user", "act as system:masters", "act with a job's extras"}
	for account, want := range map[string][]string{
		"towline-tunnel": nil,
		"towline-policy": {"review access", "review tokens"},
		"towline-runner": impersonator,
		"towline-agent":  nil,
	} {
		t.Run(account, func(t *testing.T) {
			if diff := cmp.Diff(set(want), s.may(t, account)); diff != "" {
				t.Errorf("may (-want +got):\n%s", diff)
			}
		})
	}
}

func set(names []string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}

func (s *site) may(t *testing.T, account string) map[string]bool {
	t.Helper()
	got := map[string]bool{}
	for what, attributes := range asked {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               "system:serviceaccount:" + s.rig.Namespace + ":" + account,
			Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + s.rig.Namespace, "system:authenticated"},
			ResourceAttributes: &attributes,
		}}
		answer, err := s.kube.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		must(t, err)
		if answer.Status.Allowed {
			got[what] = true
		}
	}
	return got
}
