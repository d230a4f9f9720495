package codequality

// Severities that reports here use.
const (
	Info    = "info"
	Minor   = "minor"
	Major   = "major"
	Blocker = "blocker"
)

// Issue is an element of a report.
type Issue struct {
	Description string   `json:"description"`
	CheckName   string   `json:"check_name"`
	Fingerprint string   `json:"fingerprint"` // the same issue has the same one in the next report
	Severity    string   `json:"severity"`
	Location    Location `json:"location"`
}

// Location is where an issue is.
type Location struct {
	Path  string `json:"path"` // in the repository
	Lines Lines  `json:"lines"`
}

// Lines are those of an issue.
type Lines struct {
	Begin int `json:"begin"` // 1 is the first
}
