package decide

import (
	"time"

	"github.com/towline/towline/pkg/policyapi"
)

// Evidence is what a decision is made from: what the tunnel tells and what
// policy has verified itself.
type Evidence struct {
	policyapi.Evidence
	// Now is when the decision is made; rules may ask for it.
	Now time.Time
	// IDToken is nil when the job has no ID token for Towline that is good.
	// Whether there is one is up to the job's author, so that its absence proves
	// nothing and a rule that needs one refuses.
	IDToken *IDToken
	// IDTokenFault is why an ID token that was there does not count; "" when
	// there was none or it is good.
	IDTokenFault string
}

// IDToken is what GitLab itself signed about the job (runner-api sheet, section
// 14). For a merge request from a fork, Project* and Ref* describe the source
// project and its ref, JobProject* the one the job runs in. Texts are "" and
// times zero when GitLab did not say.
type IDToken struct {
	Subject              string
	ProjectID            int64
	ProjectPath          string
	NamespacePath        string
	JobProjectID         int64
	JobProjectPath       string
	JobNamespacePath     string
	PipelineID           int64
	PipelineSource       string
	JobID                int64
	UserID               int64
	UserLogin            string
	UserEmail            string
	UserAccessLevel      string
	GroupsDirect         []string
	Ref                  string
	RefType              string
	RefPath              string
	RefProtected         bool
	Environment          string
	EnvironmentProtected bool
	EnvironmentAction    string
	DeploymentTier       string
	SHA                  string
	ProjectVisibility    string
	RunnerID             int64
	RunnerEnvironment    string
	ConfigRefURI         string
	ConfigSHA            string
}
