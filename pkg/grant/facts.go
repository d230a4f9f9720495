package grant

// Facts are what is known of a job beyond the identity it acts as. Policy signs
// them so that the rules of the cluster's owner can ask about them at the gate
// as well; nothing else decides by them. What GitLab did not say is empty.
type Facts struct {
	// JobName and Image are the author's words.
	JobName string `json:"job_name,omitempty"`
	Image   string `json:"image,omitempty"`
	// GroupIDs are the project's group and its ancestors, in GitLab's order.
	GroupIDs    []int64      `json:"group_ids,omitempty"`
	User        User         `json:"user,omitzero"`
	Ref         Ref          `json:"ref,omitzero"`
	Environment *Environment `json:"environment,omitempty"` // nil: the job has none
	IDToken     *IDToken     `json:"id_token,omitempty"`    // nil: the job has none for Towline
}

// User is who the job runs for.
type User struct {
	ID       int64    `json:"id,omitempty"`
	Username string   `json:"username,omitempty"`
	Roles    []string `json:"roles,omitempty"` // in the project, every one at or below the user's
	// ActsFor is the person for whom a service account acts; 0: nobody.
	ActsFor int64 `json:"acts_for,omitempty"`
}

// Ref is what the job's pipeline runs for. Its name is one that exists, chosen
// by whoever made it.
type Ref struct {
	Name      string `json:"name,omitempty"`
	Type      string `json:"type,omitempty"` // branch or tag
	Protected bool   `json:"protected,omitempty"`
}

// Environment is the job's environment as GitLab stores it.
type Environment struct {
	Name string `json:"name,omitempty"` // "" when it could not be verified
	Slug string `json:"slug,omitempty"`
	Tier string `json:"tier,omitempty"`
}

// IDToken is what GitLab signed about the job in an ID token for Towline.
type IDToken struct {
	Ref                  string `json:"ref,omitempty"`
	RefType              string `json:"ref_type,omitempty"`
	RefProtected         *bool  `json:"ref_protected,omitempty"`
	Environment          string `json:"environment,omitempty"`
	EnvironmentProtected *bool  `json:"environment_protected,omitempty"`
	EnvironmentAction    string `json:"environment_action,omitempty"`
	DeploymentTier       string `json:"deployment_tier,omitempty"`
	PipelineSource       string `json:"pipeline_source,omitempty"`
	ProjectPath          string `json:"project_path,omitempty"`
	JobProjectPath       string `json:"job_project_path,omitempty"`
	UserLogin            string `json:"user_login,omitempty"`
	UserAccessLevel      string `json:"user_access_level,omitempty"`
}
