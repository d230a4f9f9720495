package explain

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/services/policy/internal/decide"
)

// Question is a job that does not exist, in the words of the command line.
type Question struct {
	Project     string `json:"project"`
	Ref         string `json:"ref,omitempty"` // a branch
	Tag         string `json:"tag,omitempty"`
	Protected   bool   `json:"protected,omitempty"`
	Environment string `json:"environment,omitempty"`
	Tier        string `json:"tier,omitempty"`
	User        string `json:"user,omitempty"`
	Role        string `json:"role,omitempty"`
	Agent       string `json:"agent,omitempty"`     // as KUBE_CONTEXT
	Namespace   string `json:"namespace,omitempty"` // as KUBE_NAMESPACE
}

var (
	projectPath = regexp.MustCompile(`^[^\s/:]+(/[^\s/:]+)+$`)
	tiers       = []string{"production", "staging", "testing", "development", "other"}
)

// Validate says everything that is wrong with the question.
func (q Question) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !projectPath.MatchString(q.Project) {
		fault("--project=%s: want the full path of a project, for example group/app", q.Project)
	}
	switch {
	case q.Ref == "" && q.Tag == "":
		fault("--ref or --tag is missing: name the branch or the tag that the job would be for")
	case q.Ref != "" && q.Tag != "":
		fault("--ref and --tag are both given: a job is for a branch or for a tag")
	}
	if !slices.Contains(agentconfig.Roles, q.role()) {
		fault("--role=%s: use one of %s", q.Role, strings.Join(agentconfig.Roles, ", "))
	}
	if q.Tier != "" && !slices.Contains(tiers, q.Tier) {
		fault("--tier=%s: use one of %s", q.Tier, strings.Join(tiers, ", "))
	}
	return errors.Join(faults...)
}

func (q Question) role() string {
	if q.Role == "" {
		return "developer"
	}
	return q.Role
}

func (q Question) user() string {
	if q.User == "" {
		return "somebody"
	}
	return q.User
}

// The ids of a job that does not exist. They are shown as words, see named.
const (
	jobID      = 900_000_000_000_001
	projectID  = 900_000_000_000_002
	pipelineID = 900_000_000_000_003
	userID     = 900_000_000_000_004
	firstGroup = 900_000_000_000_100
)

// Evidence is what GitLab would say of the job. known are the agents that it
// would offer.
func (q Question) Evidence(agent int64) decide.Evidence {
	protected := q.Protected
	roles := agentconfig.Roles[:slices.Index(agentconfig.Roles, q.role())+1]
	e := policyapi.Evidence{
		Job: policyapi.EvidenceJob{
			ID: jobID, ProjectID: projectID, ProjectPath: q.Project, PipelineID: pipelineID, UserID: userID,
			Ref: q.Ref, RefType: "branch", RefProtected: &protected,
		},
		AllowedAgents: &policyapi.AllowedAgents{
			JobID: jobID, ProjectID: projectID, User: policyapi.User{ID: userID, Username: q.user(), Roles: roles},
		},
		EnvironmentName: q.Environment,
	}
	if q.Tag != "" {
		e.Job.Ref, e.Job.RefType = q.Tag, "tag"
	}
	for i := range strings.Count(q.Project, "/") {
		e.AllowedAgents.GroupIDs = append(e.AllowedAgents.GroupIDs, firstGroup+int64(i))
	}
	if q.Environment != "" {
		e.AllowedAgents.Environment = &policyapi.Environment{Slug: slug(q.Environment), Tier: q.tier()}
	}
	if q.Agent != "" {
		e.RequestedAgent = policyapi.Requested{Value: q.Agent, Source: policyapi.FromKubeContext}
	}
	if q.Namespace != "" {
		e.RequestedNamespace = policyapi.Requested{Value: q.Namespace, Source: policyapi.FromKubeNamespace}
	}
	if agent != 0 {
		e.AllowedAgents.Agents = []policyapi.AllowedAgent{{ID: agent}}
	}
	return decide.Evidence{Evidence: e}
}

// named puts words in the place of ids that do not exist.
func named(project string) *strings.Replacer {
	pairs := []string{}
	add := func(id int64, word string) { pairs = append(pairs, strconv.FormatInt(id, 10), word) }
	add(jobID, "<job id>")
	add(projectID, "<id of "+project+">")
	add(pipelineID, "<pipeline id>")
	add(userID, "<user id>")
	group := project
	for i := range strings.Count(project, "/") {
		group = group[:strings.LastIndexByte(group, '/')]
		add(firstGroup+int64(i), "<id of "+group+">")
	}
	return strings.NewReplacer(pairs...)
}

// guesses are how GitLab guesses a tier from an environment's name, in its order.
var guesses = []struct {
	name *regexp.Regexp
	tier string
}{
	{regexp.MustCompile(`(?i)dev|review|trunk`), "development"},
	{regexp.MustCompile(`(?i)test|tst|int|ac(ce|)pt|qa|qc|control|quality`), "testing"},
	{regexp.MustCompile(`(?i)st(a|)g|mod(e|)l|pre|demo|non`), "staging"},
	{regexp.MustCompile(`(?i)pr(o|)d|live`), "production"},
}

func (q Question) tier() string {
	if q.Tier != "" {
		return q.Tier
	}
	for _, g := range guesses {
		if g.name.MatchString(q.Environment) {
			return g.tier
		}
	}
	return "other"
}

var (
	notInSlug = regexp.MustCompile(`[^a-z0-9]`)
	dashes    = regexp.MustCompile(`-+`)
)

// Sizes of an environment's slug in GitLab.
const (
	maxSlug  = 24
	headSlug = 17
	tailSlug = 6
)

// slug is CI_ENVIRONMENT_SLUG of an environment as GitLab makes it: with a part
// of a hash behind it unless the name is a slug already.
func slug(name string) string {
	s := notInSlug.ReplaceAllString(strings.ToLower(name), "-")
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		s = "env-" + s
	}
	s = dashes.ReplaceAllString(s, "-")
	if len(s) <= maxSlug && s == name {
		return strings.TrimSuffix(s, "-")
	}
	sum := sha256.Sum256([]byte(name))
	hash := new(big.Int).SetBytes(sum[:]).Text(36)
	return strings.TrimSuffix(s[:min(len(s), headSlug)], "-") + "-" + hash[len(hash)-tailSlug:]
}
