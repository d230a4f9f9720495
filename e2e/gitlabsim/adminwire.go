package gitlabsim

import "time"

// AdminArgs carries the arguments of every admin call over HTTP: POST
// /_sim/<method> with the fields that method needs.
type AdminArgs struct {
	ID         int64              `json:"id,omitempty"`
	Project    string             `json:"project,omitempty"`
	Branch     string             `json:"branch,omitempty"`
	Ref        string             `json:"ref,omitempty"`
	Name       string             `json:"name,omitempty"`
	User       string             `json:"user,omitempty"`
	Path       string             `json:"path,omitempty"`
	Scope      string             `json:"scope,omitempty"`
	Text       string             `json:"text,omitempty"`
	Level      int                `json:"level,omitempty"`
	On         bool               `json:"on,omitempty"`
	Timeout    time.Duration      `json:"timeout,omitempty"`
	Names      []string           `json:"names,omitempty"`
	States     []Status           `json:"states,omitempty"`
	Files      map[string]*string `json:"files,omitempty"`
	Variable   Variable           `json:"variable,omitzero"`
	Variables  []Variable         `json:"variables,omitempty"`
	NewProject ProjectOptions     `json:"new_project,omitzero"`
	Runner     RunnerOptions      `json:"runner,omitzero"`
	Token      AccessTokenOptions `json:"token,omitzero"`
	Pipeline   PipelineOptions    `json:"pipeline,omitzero"`
	Fault      Fault              `json:"fault,omitzero"`
}

// Info is what the admin method Info answers.
type Info struct {
	URL string `json:"url"`
}
