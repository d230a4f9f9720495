package idtoken

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/services/policy/internal/decide"
)

// claims are those of GitLab's ID tokens (runner-api sheet, section 14).
type claims struct {
	jwt.RegisteredClaims
	ProjectID            number   `json:"project_id"`
	ProjectPath          string   `json:"project_path"`
	NamespacePath        string   `json:"namespace_path"`
	JobProjectID         number   `json:"job_project_id"`
	JobProjectPath       string   `json:"job_project_path"`
	JobNamespacePath     string   `json:"job_namespace_path"`
	PipelineID           number   `json:"pipeline_id"`
	PipelineSource       string   `json:"pipeline_source"`
	JobID                number   `json:"job_id"`
	UserID               number   `json:"user_id"`
	UserLogin            string   `json:"user_login"`
	UserEmail            string   `json:"user_email"`
	UserAccessLevel      string   `json:"user_access_level"`
	GroupsDirect         []string `json:"groups_direct"`
	Ref                  string   `json:"ref"`
	RefType              string   `json:"ref_type"`
	RefPath              string   `json:"ref_path"`
	RefProtected         flag     `json:"ref_protected"`
	Environment          string   `json:"environment"`
	EnvironmentProtected flag     `json:"environment_protected"`
	EnvironmentAction    string   `json:"environment_action"`
	DeploymentTier       string   `json:"deployment_tier"`
	SHA                  string   `json:"sha"`
	ProjectVisibility    string   `json:"project_visibility"`
	RunnerID             number   `json:"runner_id"`
	RunnerEnvironment    string   `json:"runner_environment"`
	ConfigRefURI         string   `json:"ci_config_ref_uri"`
	ConfigSHA            string   `json:"ci_config_sha"`
}

func (c *claims) token() *decide.IDToken {
	return &decide.IDToken{
		Subject: c.Subject, ProjectID: int64(c.ProjectID), ProjectPath: c.ProjectPath, NamespacePath: c.NamespacePath,
		JobProjectID: int64(c.JobProjectID), JobProjectPath: c.JobProjectPath, JobNamespacePath: c.JobNamespacePath,
		PipelineID: int64(c.PipelineID), PipelineSource: c.PipelineSource, JobID: int64(c.JobID),
		UserID: int64(c.UserID), UserLogin: c.UserLogin, UserEmail: c.UserEmail, UserAccessLevel: c.UserAccessLevel, GroupsDirect: c.GroupsDirect,
		Ref: c.Ref, RefType: c.RefType, RefPath: c.RefPath, RefProtected: bool(c.RefProtected),
		Environment: c.Environment, EnvironmentProtected: bool(c.EnvironmentProtected), EnvironmentAction: c.EnvironmentAction,
		DeploymentTier: c.DeploymentTier, SHA: c.SHA, ProjectVisibility: c.ProjectVisibility,
		RunnerID: int64(c.RunnerID), RunnerEnvironment: c.RunnerEnvironment, ConfigRefURI: c.ConfigRefURI, ConfigSHA: c.ConfigSHA,
	}
}

// number is an id, which GitLab writes as a string in most claims.
type number int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if string(b) == "null" || text == "" {
		return nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 {
		return errors.New("an id is not a number")
	}
	*n = number(v)
	return nil
}

// flag is a boolean, which GitLab writes as a string. Whatever is not plainly
// true is false.
type flag bool

// UnmarshalJSON implements json.Unmarshaler.
func (f *flag) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*f = v == "true" || v == true
	return nil
}
