package gitlabsim

import (
	"log/slog"
	"time"
)

// Options configures a [Server]; the zero value is a premium GitLab with the
// packaged defaults on a free loopback port.
type Options struct {
	// Addr is the listen address, default 127.0.0.1:0.
	Addr string
	// ExternalURL is what the payload and the ID tokens call this GitLab;
	// default http://<listen address>.
	ExternalURL string
	// DataDir holds the bare repositories; empty means a temporary directory
	// that Close removes.
	DataDir string
	// LongPoll is Workhorse's polling duration (3.4): 0 means the packaged
	// 50 s, negative turns long polling off.
	LongPoll time.Duration
	// Tier is "premium" (default) or "free"; free drops ci_access entries whose
	// access_as is not agent (agent-config 0.6).
	Tier string
	// NoOrganizationAccess turns off the instance setting that lets agents
	// authorize projects outside their own root group and ci_access.instance.
	NoOrganizationAccess bool
	// KASTunnelURL is the server of the generated kubeconfig; default
	// <url>/-/kubernetes-agent/k8s-proxy/.
	KASTunnelURL string
	// TraceSizeLimit is the plan limit of a log in bytes (7), default 100 MiB.
	TraceSizeLimit int64
	// ArtifactSizeLimit is the largest artifact in bytes (13.1), default 100 MiB.
	ArtifactSizeLimit int64
	// ArtifactsDisabled answers 405 to uploads.
	ArtifactsDisabled bool
	// ArtifactsRedirect answers downloads asked with direct_download by a 302
	// to another host name, as object storage does (13.2).
	ArtifactsRedirect bool
	// PersistAnswers is how many 202 answers each final PUT gets before the log
	// counts as persisted (8.2).
	PersistAnswers int
	// JWTJobTokens makes job tokens glcbt- plus a signed JWT (section 4).
	JWTJobTokens bool
	// RequestLimit, JobLimit and PatchLimit are calls per minute (1.2);
	// 0 means 2000, 200 and 200, negative means none.
	RequestLimit, JobLimit, PatchLimit int
	// FirstPutGrace is how long a job may be out before a missing PUT running
	// is an anomaly, default 10 s.
	FirstPutGrace time.Duration
	// MaxManagers is how many system_ids one runner may show before further
	// ones are anomalies, default 1.
	MaxManagers int
	// JobRouter serves the job router of KAS (19); without it discovery answers 501.
	JobRouter bool
	// TwoPhase keeps jobs pending after the 201 until PUT running, for runners that
	// advertise two_phase_job_commit (8.4).
	TwoPhase bool
	// FirstJob is the id of the first job, default 1001. Whoever starts again in
	// front of the same services has to go on where the one before has ended.
	FirstJob int64
	// Fill makes projects and the like before the first request is answered.
	Fill func(*Server) error
	// MutatePayload may change the decoded 201 body before it is sent.
	MutatePayload func(map[string]any)
	// Now is the clock of every stored time and of all limits.
	Now func() time.Time
	// Log receives one line per request; nil discards.
	Log *slog.Logger
}

const (
	defaultLongPoll = 50 * time.Second
	mebibyte        = 1 << 20
)

func (o Options) withDefaults() Options {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.LongPoll == 0 {
		o.LongPoll = defaultLongPoll
	}
	if o.Tier == "" {
		o.Tier = "premium"
	}
	if o.TraceSizeLimit == 0 {
		o.TraceSizeLimit = 100 * mebibyte
	}
	if o.ArtifactSizeLimit == 0 {
		o.ArtifactSizeLimit = 100 * mebibyte
	}
	o.RequestLimit = orInt(o.RequestLimit, 2000)
	o.JobLimit = orInt(o.JobLimit, 200)
	o.PatchLimit = orInt(o.PatchLimit, 200)
	o.MaxManagers = orInt(o.MaxManagers, 1)
	if o.FirstPutGrace == 0 {
		o.FirstPutGrace = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func orInt(v, fallback int) int {
	if v == 0 {
		return fallback
	}
	return v
}
