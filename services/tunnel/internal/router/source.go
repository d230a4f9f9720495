package router

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const (
	getJob = "/gitlab.agent.job_router.rpc.JobRouter/GetJob"
	// knownFor is how long GitLab's word on where the router is counts, also if
	// there is none.
	knownFor = time.Hour
	// askWithin is how long a call may take beyond the time for which the router
	// may hold it.
	askWithin = time.Minute
)

// GitLab is the API that the router stands in for.
type GitLab interface {
	RequestJob(ctx context.Context, lastUpdate string) gitlab.RequestResult
	PatchTrace(ctx context.Context, id int64, token gitlab.JobToken, offset int64, data []byte, debug bool) gitlab.PatchResult
	UpdateJob(ctx context.Context, id int64, token gitlab.JobToken, u gitlab.Update) gitlab.UpdateResult
	// RouterAddress is where the router is; "" when there is none.
	RouterAddress(ctx context.Context) (string, error)
	// JobRequest is the body of a request for a job.
	JobRequest(lastUpdate string) []byte
	// Received reads a job as RequestJob does.
	Received(payload []byte) gitlab.RequestResult
}

// Source hands out jobs by the router if GitLab has one, else by the API. It is
// used by one poller, one call at a time.
type Source struct {
	GitLab
	Token     func() string // the runner token
	HTTP      *http.Client  // for the WebSocket: proxy and CA; not nil
	UserAgent string
	LongPoll  time.Duration // how long the router may hold a call
	Log       *slog.Logger

	known   time.Time // when GitLab was asked for the address
	address string
	conn    *grpc.ClientConn
	breaker breaker
}

// Close ends the connection to the router.
func (s *Source) Close() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// RequestJob asks the router for a job, or the API where the router cannot be
// asked.
func (s *Source) RequestJob(ctx context.Context, lastUpdate string) gitlab.RequestResult {
	if s.breaker.open() || !s.discover(ctx) {
		return s.GitLab.RequestJob(ctx, lastUpdate)
	}
	r, err := s.ask(ctx, lastUpdate)
	if err == nil {
		s.breaker.good()
		return r
	}
	if ctx.Err() != nil {
		return gitlab.RequestResult{Outcome: gitlab.Failed, Why: ctx.Err()}
	}
	return s.failed(ctx, err, lastUpdate)
}

// failed decides what the status of a failed call means.
func (s *Source) failed(ctx context.Context, err error, lastUpdate string) gitlab.RequestResult {
	code := status.Code(err)
	why := fmt.Errorf("GitLab's job router answers %s", code) // its text may be anything
	switch code {
	case codes.Unimplemented:
		s.Log.Info("GitLab's job router is switched off; jobs are requested from the API")
		s.forget()
		return s.GitLab.RequestJob(ctx, lastUpdate)
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		if s.breaker.bad() {
			s.Log.Warn("GitLab's job router is left alone for a while", "for", breakerOpen.String(), service.Err(why))
			return s.GitLab.RequestJob(ctx, lastUpdate)
		}
		return gitlab.RequestResult{Outcome: gitlab.Failed, Why: why}
	case codes.Unauthenticated, codes.PermissionDenied:
		return gitlab.RequestResult{Outcome: gitlab.Rejected, Why: why}
	default:
		return gitlab.RequestResult{Outcome: gitlab.Failed, Why: why}
	}
}

// forget has GitLab asked for the router's address with the next request.
func (s *Source) forget() {
	s.Close()
	s.address, s.known, s.breaker = "", time.Time{}, breaker{}
}

// discover says whether there is a router to ask, and connects to it.
func (s *Source) discover(ctx context.Context) bool {
	if s.known.IsZero() || time.Since(s.known) >= knownFor {
		address, err := s.GitLab.RouterAddress(ctx)
		if err != nil {
			s.Log.Warn("GitLab does not say where its job router is; jobs are requested from the API", service.Err(err))
			address = ""
		}
		if address != s.address {
			s.forget()
		}
		s.known, s.address = time.Now(), address
	}
	if s.address == "" {
		return false
	}
	if s.conn != nil {
		return true
	}
	conn, err := s.dial(s.address)
	if err != nil {
		s.Log.Warn("job router not usable; jobs are requested from the API", service.Err(err))
		s.address = ""
		return false
	}
	s.conn = conn
	return true
}

// ask is one GetJob.
func (s *Source) ask(ctx context.Context, lastUpdate string) (gitlab.RequestResult, error) {
	ctx, cancel := context.WithTimeout(ctx, s.LongPoll+askWithin)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx,
		"authorization", "Bearer "+s.Token(), "gitlab-agent-type", "runner", "x-request-id", gitlab.RequestID())
	var (
		in     = message{json: s.GitLab.JobRequest(lastUpdate)}
		out    message
		header metadata.MD
	)
	began := time.Now()
	if err := s.conn.Invoke(ctx, getJob, &in, &out, grpc.Header(&header)); err != nil {
		return gitlab.RequestResult{}, err
	}
	if len(out.json) > 0 {
		return s.GitLab.Received(out.json), nil
	}
	r := gitlab.RequestResult{Outcome: gitlab.NoJob, Held: time.Since(began) > heldFor}
	if v := header.Get("x-gitlab-last-update"); len(v) > 0 {
		r.LastUpdate = v[0]
	}
	return r, nil
}

// heldFor is how long a call takes at least that the router held open.
const heldFor = time.Second
