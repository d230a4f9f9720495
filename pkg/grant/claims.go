package grant

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// Who issues grants and who takes them.
const (
	Issuer         = "towline-policy"
	AudienceGate   = "gate"
	AudienceEgress = "egress"
)

// Skew is how far clocks of two pods may differ before a grant is refused.
const Skew = 30 * time.Second

// Limits on a grant.
const (
	// MaxToken is the largest token in bytes. It travels in a header.
	MaxToken = 16 << 10
	// MaxGroups and MaxExtra bound an identity; GitLab nests at most 20 groups.
	MaxGroups = 128
	MaxExtra  = 64
	// MaxNamespaces bounds the namespaces of a grant.
	MaxNamespaces = 256
	// maxName bounds each text that ends in an impersonation header.
	maxName = 1024
)

// The modes of an identity (agent-config sheet, section 1.2). GitLab only
// designed ModeCIUser.
const (
	ModeAgent       = "agent"
	ModeImpersonate = "impersonate"
	ModeCIJob       = "ci_job"
	ModeCIUser      = "ci_user"
	// ModeGitOps is a sync that acts as itself.
	ModeGitOps = "gitops"
)

// GitOpsUser is the first part of the user that a sync acts as in ModeGitOps;
// the entry's name follows.
const GitOpsUser = "gitlab:gitops:"

// Identity is who a job is towards the Kubernetes API.
type Identity struct {
	Mode   string              `json:"mode"`
	User   string              `json:"user"`
	UID    string              `json:"uid,omitempty"`
	Groups []string            `json:"groups,omitempty"`
	Extra  map[string][]string `json:"extra,omitempty"`
}

// Agent is the GitLab agent on whose behalf policy signs. ID is 0 when unknown.
type Agent struct {
	ID      int64  `json:"id,omitempty"`
	Project string `json:"project"`
	Name    string `json:"name"`
}

// Context is the name of the agent's kubeconfig context as GitLab writes it
// (agent-config sheet, section 2.1).
func (a Agent) Context() string { return a.Project + ":" + a.Name }

// Job is the GitLab job a grant is for, in GitLab's own words.
type Job struct {
	ID          int64  `json:"id"`
	PipelineID  int64  `json:"pipeline_id,omitempty"`
	ProjectID   int64  `json:"project_id,omitempty"`
	ProjectPath string `json:"project_path,omitempty"`
}

// Subject is the sub of the job's grants.
func (j Job) Subject() string { return "job:" + strconv.FormatInt(j.ID, 10) }

// Sync is the state of an entry of gitops that a grant is for.
type Sync struct {
	Entry   string `json:"entry"`
	Project string `json:"project"`
	Commit  string `json:"commit"`
}

// Subject is the sub of the sync's grants.
func (s Sync) Subject() string { return "sync:" + s.Entry }

// Claims is what a grant says. It is for a job, or for a sync if Sync is set.
type Claims struct {
	jwt.RegisteredClaims
	Job      Job      `json:"job,omitzero"`
	Sync     *Sync    `json:"sync,omitempty"`
	Identity Identity `json:"identity"`
	Agent    Agent    `json:"agent"`
	// Namespaces the job may use; empty means what RBAC allows.
	Namespaces       []string `json:"namespaces,omitempty"`
	DefaultNamespace string   `json:"default_namespace,omitempty"`
	// PayloadDigest is Digest of the job's payload.
	PayloadDigest string `json:"payload_digest"`
	Facts         Facts  `json:"facts,omitzero"`
	// ConfigRevision is the configuration the decision was made with.
	ConfigRevision string `json:"config_revision"`
}

// Project is the full path of the project whose job or sync the grant is for.
func (c *Claims) Project() string {
	if c.Sync != nil {
		return c.Sync.Project
	}
	return c.Job.ProjectPath
}

// Digest identifies a payload by its bytes: "sha256:<hex>".
func Digest(payload []byte) string {
	sum := sha256.Sum256(payload)
	return "sha256:" + hex.EncodeToString(sum[:])
}

var (
	digestText = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	// Lengths are compared beside the patterns: a bound within a pattern makes a
	// program of as many steps, which each process would hold in memory.
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	subdomain = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`)
)

const (
	maxLabel     = 63
	maxSubdomain = 253
)

// IsNamespace says whether a text is the name of a namespace in Kubernetes.
func IsNamespace(name string) bool { return len(name) <= maxLabel && dnsLabel.MatchString(name) }

// isAccount says whether user is the name of a ServiceAccount.
func isAccount(user string) bool {
	rest, ok := strings.CutPrefix(user, "system:serviceaccount:")
	namespace, name, both := strings.Cut(rest, ":")
	return ok && both && IsNamespace(namespace) && len(name) <= maxSubdomain && subdomain.MatchString(name)
}

// ServiceAccountUser is the name by which Kubernetes knows a ServiceAccount.
func ServiceAccountUser(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// validate refuses claims that no decision of ours can have led to.
func (c *Claims) validate() error {
	if err := c.forOne(); err != nil {
		return err
	}
	switch {
	case c.ID == "":
		return errors.New("jti is missing")
	case c.Agent.Project == "" || c.Agent.Name == "":
		return errors.New("agent is missing")
	case !digestText.MatchString(c.PayloadDigest):
		return errors.New("payload digest is missing or not sha256:<hex>")
	case len(c.Namespaces) > MaxNamespaces:
		return fmt.Errorf("%d namespaces are over the limit of %d", len(c.Namespaces), MaxNamespaces)
	case c.DefaultNamespace != "" && !IsNamespace(c.DefaultNamespace):
		return errors.New("default namespace is not a namespace name")
	case c.DefaultNamespace != "" && len(c.Namespaces) > 0 && !slices.Contains(c.Namespaces, c.DefaultNamespace):
		return errors.New("default namespace is outside the namespaces")
	}
	for _, n := range c.Namespaces {
		if !IsNamespace(n) {
			return fmt.Errorf("%q is not a namespace name", n)
		}
	}
	return c.Identity.Validate()
}

// forOne checks what the grant is for.
func (c *Claims) forOne() error {
	switch s := c.Sync; {
	case s != nil && c.Job != (Job{}):
		return errors.New("it is for a job and for a sync")
	case s != nil && (s.Entry == "" || s.Project == "" || s.Commit == ""):
		return errors.New("entry, project or commit of the sync is missing")
	case s != nil && c.Subject != s.Subject():
		return errors.New("subject is not the sync")
	case s != nil:
		return nil
	case c.Job.ID <= 0:
		return errors.New("job id is missing")
	case c.Subject != c.Job.Subject():
		return errors.New("subject is not the job")
	}
	return nil
}

// Validate refuses an identity that no grant may carry: one without a user,
// one of Kubernetes' own users and groups (system:...), unless the mode is
// agent, where the user is a ServiceAccount and the groups are those that
// Kubernetes gives it anyway.
func (i Identity) Validate() error {
	switch i.Mode {
	case ModeAgent:
		if !isAccount(i.User) {
			return fmt.Errorf("mode agent needs a ServiceAccount as user, not %q", i.User)
		}
	case ModeImpersonate, ModeCIJob, ModeCIUser, ModeGitOps:
		switch {
		case i.User == "":
			return fmt.Errorf("mode %s needs a user", i.Mode)
		case reserved(i.User):
			return fmt.Errorf("user %q is one of Kubernetes' own", i.User)
		case i.Mode == ModeCIJob && !strings.HasPrefix(i.User, "gitlab:ci_job:"):
			return fmt.Errorf("user %q is not a CI job", i.User)
		case i.Mode == ModeGitOps && !strings.HasPrefix(i.User, GitOpsUser):
			return fmt.Errorf("user %q is not a sync", i.User)
		case i.Mode == ModeCIUser && (!strings.HasPrefix(i.User, userPrefix) || i.User == userPrefix):
			return fmt.Errorf("user %q is not a user of GitLab", i.User)
		}
	default:
		return fmt.Errorf("unknown mode %q", i.Mode)
	}
	if len(i.Groups) > MaxGroups || len(i.Extra) > MaxExtra {
		return fmt.Errorf("%d groups and %d extra fields are over the limits of %d and %d", len(i.Groups), len(i.Extra), MaxGroups, MaxExtra)
	}
	implied := i.impliedGroups()
	for _, g := range i.Groups {
		if reserved(g) && !slices.Contains(implied, g) {
			return fmt.Errorf("group %q is one of Kubernetes' own", g)
		}
	}
	return i.printable()
}

// userPrefix stands in front of the names of GitLab's users.
const userPrefix = "gitlab:user:"

// reserved says whether a name is in the space that Kubernetes keeps to itself.
func reserved(name string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(name)), "system:")
}

func (i Identity) impliedGroups() []string {
	if i.Mode != ModeAgent {
		return nil
	}
	namespace, _, _ := strings.Cut(strings.TrimPrefix(i.User, "system:serviceaccount:"), ":")
	return []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}
}

// printable checks every text that becomes an impersonation header.
func (i Identity) printable() error {
	texts := append([]string{i.User}, i.Groups...)
	for key, values := range i.Extra {
		if key == "" || len(values) == 0 || len(values) > MaxExtra {
			return fmt.Errorf("extra field %q has no name, no value or too many", key)
		}
		texts = append(append(texts, key), values...)
	}
	for _, s := range append(texts, i.UID) {
		if len(s) > maxName || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			return fmt.Errorf("%q is too long or holds control characters", s[:min(len(s), 64)])
		}
	}
	if slices.Contains(i.Groups, "") {
		return errors.New("a group without a name")
	}
	return nil
}
