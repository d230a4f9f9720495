package agentconfig

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
)

// Limits on a configuration file.
const (
	// MaxFile is the largest file in bytes (agent-config sheet, section 1).
	MaxFile = 128 << 10
	// MaxEntries is how many projects, and how many groups, are used; GitLab
	// ignores those after it and so does Towline, with a notice (section 1.2).
	MaxEntries = 500
)

// FileName is the name of the file inside a configuration directory.
const FileName = "config.yaml"

// Config is one configuration file. The zero value is an empty configuration,
// which lets in only the jobs of the configuration project itself.
type Config struct {
	// File is how the file is named in entries, faults and notices.
	File string
	// CIAccess says which projects' jobs may use the agent.
	CIAccess CIAccess
	// UserAccess says which people may use the agent; nil when absent.
	UserAccess *UserAccess
	// Towline is the towline.yaml beside the file; empty when there is none.
	Towline Towline
	// GitOps says what the cluster is kept equal to.
	GitOps GitOps
	// AgentToken is agent.token, which only local files may hold.
	AgentToken Secret
}

// CIAccess is the section ci_access (agent-config sheet, section 1.2).
type CIAccess struct {
	Projects []Entry
	Groups   []Entry
	Instance *Entry
}

// UserAccess is the section user_access (agent-config sheet, section 1.3).
type UserAccess struct {
	Projects []string
	Groups   []string
	// AsUser is access_as.user; false is access_as.agent, the default.
	AsUser bool
}

// Kind says where in ci_access an entry stands.
type Kind int

// The kinds of entries, in GitLab's order of precedence.
const (
	ProjectEntry Kind = iota + 1
	ImplicitEntry
	GroupEntry
	InstanceEntry
)

// Entry is one permission of ci_access, or the implicit one that the
// configuration project's own jobs have.
type Entry struct {
	Kind                  Kind
	ID                    string // full path of the project or group
	DefaultNamespace      string
	Environments          []string // patterns; empty means any job
	ProtectedBranchesOnly bool
	ResourceManagement    bool
	AccessAs              AccessAs

	File         string // as in Config.File
	Line, Column int    // 0 for the implicit entry
	Key          string // for example ci_access.projects[2]
}

// String names the entry and its place, for example
// `config.yaml:12: ci_access.projects[0] (id "group/app")`.
func (e Entry) String() string {
	switch e.Kind {
	case ImplicitEntry:
		return "the implicit entry of the agent's own project"
	case InstanceEntry:
		return place(e.File, e.Line, e.Key)
	default:
		return fmt.Sprintf("%s (id %q)", place(e.File, e.Line, e.Key), e.ID)
	}
}

func place(file string, line int, key string) string {
	return fmt.Sprintf("%s:%d: %s", file, line, key)
}

// Mode is the key of access_as: which identity a job has in the cluster.
type Mode string

// The modes that GitLab implements (agent-config sheet, section 1.2), and
// AsCIUser, which it only designed.
const (
	AsAgent       Mode = "agent"
	AsImpersonate Mode = "impersonate"
	AsCIJob       Mode = "ci_job"
	AsCIUser      Mode = "ci_user"
	// AsGitOps is Towline's own: a sync that acts as itself.
	AsGitOps Mode = "gitops"
)

// AccessAs is access_as of an entry. Without one the mode is AsAgent.
type AccessAs struct {
	Mode        Mode         `json:"mode"`
	Impersonate *Impersonate `json:"-"` // set in mode AsImpersonate only
}

// Impersonate is a fixed identity.
type Impersonate struct {
	Username string
	UID      string
	Groups   []string
	Extra    []Extra
}

// Extra is one extra field of a fixed identity.
type Extra struct {
	Key string
	Val []string
}

// Secret is a value that cannot print itself.
type Secret string

// String hides the value.
func (Secret) String() string { return "[redacted]" }

// GoString hides the value from %#v.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the value from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText hides the value from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Reveal is the value itself.
func (s Secret) Reveal() string { return string(s) }

// Revision identifies content: its SHA-256 in hexadecimal.
func Revision(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
