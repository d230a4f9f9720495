package towline

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Identity is what whoami says. Fields below User come from the grant and are
// missing where the kubeconfig has another credential.
type Identity struct {
	User             string     `json:"user"`
	Groups           []string   `json:"groups,omitempty"`
	Namespace        string     `json:"namespace"` // where commands act without -n
	Mode             string     `json:"mode,omitempty"`
	Project          string     `json:"project,omitempty"`
	ProjectID        int64      `json:"project_id,omitempty"`
	Job              int64      `json:"job,omitempty"`
	Pipeline         int64      `json:"pipeline,omitempty"`
	Agent            string     `json:"agent,omitempty"`
	Namespaces       []string   `json:"namespaces,omitempty"` // empty: what RBAC allows
	DefaultNamespace string     `json:"default_namespace,omitempty"`
	ConfigRevision   string     `json:"config_revision,omitempty"`
	Expires          *time.Time `json:"expires,omitempty"`
}

func (t *Towline) whoami(ctx context.Context, inv tool.Invocation) int {
	f := newFlags("whoami")
	output := f.StringP("output", "o", "", "json")
	getter := t.connection(inv, f)
	if err := f.Parse(inv.Args); err != nil || f.NArg() > 0 || *output != "" && *output != "json" {
		fmt.Fprint(inv.Stderr, usage)
		return exitUsage
	}
	cfg, err := getter.ToRESTConfig()
	if err != nil {
		return fail(inv, "whoami", err)
	}
	client, err := authentication.NewForConfig(cfg)
	if err != nil {
		return fail(inv, "whoami", err)
	}
	review, err := client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return fail(inv, "whoami", fmt.Errorf("ask the cluster: %w", err))
	}
	who := Identity{User: review.Status.UserInfo.Username, Groups: review.Status.UserInfo.Groups}
	if who.Namespace, _, err = getter.ToRawKubeConfigLoader().Namespace(); err != nil {
		return fail(inv, "whoami", err)
	}
	who.read(cfg.BearerToken)
	if *output == "json" {
		text, err := json.MarshalIndent(who, "", "  ")
		if err != nil {
			return fail(inv, "whoami", err)
		}
		fmt.Fprintf(inv.Stdout, "%s\n", text)
		return 0
	}
	if err := who.print(inv.Stdout, time.Now()); err != nil {
		return fail(inv, "whoami", err)
	}
	return 0
}

// read takes from a token what policy decided, if it is a grant. It is only
// shown: whoever acts on a grant checks its signature.
func (i *Identity) read(token string) {
	parts := strings.Split(token, ".")
	if len(token) > grant.MaxToken || len(parts) != 3 {
		return
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims grant.Claims
	if err != nil || json.Unmarshal(text, &claims) != nil || claims.Issuer != grant.Issuer {
		return
	}
	i.Mode = claims.Identity.Mode
	i.Project, i.ProjectID = claims.Job.ProjectPath, claims.Job.ProjectID
	i.Job, i.Pipeline = claims.Job.ID, claims.Job.PipelineID
	i.Agent = claims.Agent.Context()
	i.Namespaces, i.DefaultNamespace = claims.Namespaces, claims.DefaultNamespace
	i.ConfigRevision = claims.ConfigRevision
	if claims.ExpiresAt != nil {
		i.Expires = &claims.ExpiresAt.Time
	}
}

func (i *Identity) print(w io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, value)
		}
	}
	if i.Job != 0 {
		row("Project", fmt.Sprintf("%s (%d)", i.Project, i.ProjectID))
		row("Job", fmt.Sprintf("%d, pipeline %d", i.Job, i.Pipeline))
		row("Agent", i.Agent)
		row("Mode", i.Mode)
	}
	row("User", i.User)
	row("Groups", strings.Join(i.Groups, ", "))
	if i.Job != 0 {
		allowed := strings.Join(i.Namespaces, ", ")
		if allowed == "" {
			allowed = "those that RBAC allows"
		}
		row("Namespaces", allowed)
		row("Default namespace", i.DefaultNamespace)
		row("Configuration", i.ConfigRevision)
	}
	row("Current namespace", i.Namespace)
	if i.Expires != nil {
		left := "in " + i.Expires.Sub(now).Round(time.Second).String()
		if now.After(*i.Expires) {
			left = "has expired"
		}
		row("Grant expires", fmt.Sprintf("%s (%s)", i.Expires.UTC().Format(time.RFC3339), left))
	}
	return table.Flush()
}
