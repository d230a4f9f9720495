package ciyaml

// Config is one parsed .gitlab-ci.yml.
type Config struct {
	Stages    []string
	Variables []Variable
	Workflow  []Rule // decides whether there is a pipeline; none means yes
	Jobs      []Job
}

// Variable is one entry of a variables section; Raw is `expand: false`.
type Variable struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Raw   bool   `json:"raw,omitempty"`
}

// Job is one visible job with the default section already applied.
type Job struct {
	Name         string
	Stage        string
	BeforeScript []string
	Script       []string
	AfterScript  []string
	Variables    []Variable
	Tags         []string
	Environment  *Environment
	Image        *Image
	Services     []Image
	Artifacts    *Artifacts
	Cache        []Cache
	Needs        []Need // meaningful when HasNeeds
	HasNeeds     bool
	Dependencies []string // meaningful when HasDependencies
	HasDeps      bool
	IDTokens     []IDToken
	Timeout      int // seconds, 0 = the project's
	Retry        Retry
	AllowFailure AllowFailure
	When         string
	Hooks        []Hook
	Rules        []Rule
	HasRules     bool
	// ResourceGroup names what jobs of the project use one at a time.
	ResourceGroup string
	// Matrix holds the variables of each job that this one stands for; after
	// Parse there is none.
	Matrix [][]Variable
}

// Environment is the environment keyword.
type Environment struct {
	Name      string
	Action    string
	URL       string
	Tier      string
	Namespace string
	Agent     string
}

// Image is an image or a service.
type Image struct {
	Name       string
	Alias      string
	Entrypoint []string
	Command    []string
	PullPolicy []string
	Variables  []Variable
}

// Artifacts is the artifacts keyword.
type Artifacts struct {
	Name      string
	Paths     []string
	Exclude   []string
	Untracked bool
	When      string
	ExpireIn  string
	Reports   []Report
}

// Report is one entry of artifacts:reports.
type Report struct {
	Type  string
	Paths []string
}

// Cache is one cache entry.
type Cache struct {
	Key          string
	Paths        []string
	Untracked    bool
	Policy       string
	When         string
	FallbackKeys []string
}

// Need is one entry of needs.
type Need struct {
	Job       string
	Artifacts bool
	Optional  bool
}

// IDToken is one entry of id_tokens.
type IDToken struct {
	Name string
	Aud  []string
	// List tells whether aud was written as a list, which decides its JSON type.
	List bool
}

// Retry is the retry keyword.
type Retry struct {
	Max       int
	When      []string
	ExitCodes []int
}

// AllowFailure is the allow_failure keyword.
type AllowFailure struct {
	Set       bool
	All       bool
	ExitCodes []int
}

// Hook is one entry of hooks.
type Hook struct {
	Name   string
	Script []string
}

// Rule is one entry of rules.
type Rule struct {
	If           string
	Changes      []string // globs; one of the changed files must match
	Exists       []string // globs; one of the files must match
	When         string
	AllowFailure *bool
	Variables    []Variable
}
