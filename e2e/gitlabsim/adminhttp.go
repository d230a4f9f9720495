package gitlabsim

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/towline/towline/e2e/gitlabsim/joblog"
)

// maxAdminBody bounds admin requests, which may carry whole files.
const maxAdminBody = 64 << 20

type adminMethod func(ctx context.Context, a AdminArgs) (any, error)

// adminHandler serves the admin API: POST /_sim/<method> with [AdminArgs],
// answered by JSON or by 422 {"error": text}. It has no authentication, so the
// server belongs on a loopback address.
func (s *Server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	for _, table := range []map[string]adminMethod{s.adminSetup(), s.adminJobs(), s.adminFaults()} {
		for name, f := range table {
			mux.HandleFunc("POST /_sim/"+name, func(w http.ResponseWriter, r *http.Request) { serveAdmin(w, r, f) })
		}
	}
	mux.HandleFunc("GET /_sim/jobs/{job}/log", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.PathValue("job"), 10, 64)
		raw, err := s.Trace(id)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(joblog.Text(raw, r.URL.Query().Has("ansi"))))
	})
	return mux
}

func serveAdmin(w http.ResponseWriter, r *http.Request, f adminMethod) {
	var a AdminArgs
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		writeJSON(w, http.StatusBadRequest, obj{"error": err.Error()})
		return
	}
	ctx := r.Context()
	if a.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.Timeout)
		defer cancel()
	}
	out, err := f(ctx, a)
	if err != nil {
		writeJSON(w, http.StatusUnprocessableEntity, obj{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// done wraps calls without a result.
func done(err error) (any, error) { return obj{}, err }

func (s *Server) adminSetup() map[string]adminMethod {
	return map[string]adminMethod{
		"Info":          func(context.Context, AdminArgs) (any, error) { return Info{URL: s.url}, nil },
		"CreateUser":    func(_ context.Context, a AdminArgs) (any, error) { return s.CreateUser(a.User) },
		"AddMember":     func(_ context.Context, a AdminArgs) (any, error) { return done(s.AddMember(a.Path, a.User, a.Level)) },
		"CreateProject": func(_ context.Context, a AdminArgs) (any, error) { return s.CreateProject(a.NewProject) },
		"Project":       func(_ context.Context, a AdminArgs) (any, error) { return s.Project(a.Project) },
		"PushDir":       func(_ context.Context, a AdminArgs) (any, error) { return s.PushDir(a.Project, a.Branch, a.Path) },
		"PushFiles":     func(_ context.Context, a AdminArgs) (any, error) { return s.PushFiles(a.Project, a.Branch, a.Files) },
		"CreateTag":     func(_ context.Context, a AdminArgs) (any, error) { return done(s.CreateTag(a.Project, a.Name, a.Ref)) },
		"DeleteBranch":  func(_ context.Context, a AdminArgs) (any, error) { return done(s.DeleteBranch(a.Project, a.Branch)) },
		"SetProtectedEnvironments": func(_ context.Context, a AdminArgs) (any, error) {
			return done(s.SetProtectedEnvironments(a.Project, a.Names...))
		},
		"RotateIDTokenKey": func(context.Context, AdminArgs) (any, error) { return done(s.RotateIDTokenKey()) },
		"SetProtected": func(_ context.Context, a AdminArgs) (any, error) {
			return done(s.SetProtected(a.Project, a.Names...))
		},
		"CreateAgent":       func(_ context.Context, a AdminArgs) (any, error) { return s.CreateAgent(a.Project, a.Name) },
		"CreateAccessToken": func(_ context.Context, a AdminArgs) (any, error) { return s.CreateAccessToken(a.Token) },
		"CreateDeployToken": func(_ context.Context, a AdminArgs) (any, error) { return s.CreateDeployToken(a.Project, a.User) },
		"RevokeToken":       func(_ context.Context, a AdminArgs) (any, error) { s.RevokeToken(a.Text); return done(nil) },
		"SetVariable":       func(_ context.Context, a AdminArgs) (any, error) { return done(s.SetVariable(a.Scope, a.Variable)) },
		"Environments":      func(_ context.Context, a AdminArgs) (any, error) { return s.Environments(a.Project) },
		"CreateRunner":      func(_ context.Context, a AdminArgs) (any, error) { return s.CreateRunner(a.Runner) },
		"Runner":            func(_ context.Context, a AdminArgs) (any, error) { return s.Runner(a.ID) },
		"UpdateRunner":      func(_ context.Context, a AdminArgs) (any, error) { return done(s.UpdateRunner(a.ID, a.Runner)) },
		"PauseRunner":       func(_ context.Context, a AdminArgs) (any, error) { return done(s.PauseRunner(a.ID, a.On)) },
		"DeleteRunner":      func(_ context.Context, a AdminArgs) (any, error) { return done(s.DeleteRunner(a.ID)) },
	}
}

func (s *Server) adminJobs() map[string]adminMethod {
	return map[string]adminMethod{
		"RunPipeline":     func(_ context.Context, a AdminArgs) (any, error) { return s.RunPipeline(a.Pipeline) },
		"Pipeline":        func(_ context.Context, a AdminArgs) (any, error) { return s.Pipeline(a.ID) },
		"CancelPipeline":  func(_ context.Context, a AdminArgs) (any, error) { return done(s.CancelPipeline(a.ID)) },
		"Job":             func(_ context.Context, a AdminArgs) (any, error) { return s.Job(a.ID) },
		"CancelJob":       func(_ context.Context, a AdminArgs) (any, error) { return done(s.CancelJob(a.ID)) },
		"EraseJob":        func(_ context.Context, a AdminArgs) (any, error) { return done(s.EraseJob(a.ID)) },
		"PlayJob":         func(_ context.Context, a AdminArgs) (any, error) { return done(s.PlayJob(a.ID, a.Variables, a.User)) },
		"RetryJob":        func(_ context.Context, a AdminArgs) (any, error) { return s.RetryJob(a.ID) },
		"WatchJob":        func(_ context.Context, a AdminArgs) (any, error) { return done(s.WatchJob(a.ID, a.On)) },
		"ExpireJobToken":  func(_ context.Context, a AdminArgs) (any, error) { return done(s.ExpireJobToken(a.ID)) },
		"LoseTrace":       func(_ context.Context, a AdminArgs) (any, error) { return done(s.LoseTrace(a.ID)) },
		"Trace":           func(_ context.Context, a AdminArgs) (any, error) { return s.Trace(a.ID) },
		"ArtifactContent": func(_ context.Context, a AdminArgs) (any, error) { return s.ArtifactContent(a.ID, a.Name) },
		"Log": func(_ context.Context, a AdminArgs) (any, error) {
			raw, err := s.Trace(a.ID)
			return joblog.Parse(raw), err
		},
		"Wait":         func(ctx context.Context, a AdminArgs) (any, error) { return s.Wait(ctx, a.ID, a.States...) },
		"WaitPipeline": func(ctx context.Context, a AdminArgs) (any, error) { return s.WaitPipeline(ctx, a.ID, a.States...) },
		"WaitTrace":    func(ctx context.Context, a AdminArgs) (any, error) { return done(s.WaitTrace(ctx, a.ID, a.Text)) },
		"RunWatchdogs": func(context.Context, AdminArgs) (any, error) { s.RunWatchdogs(); return done(nil) },
	}
}

func (s *Server) adminFaults() map[string]adminMethod {
	return map[string]adminMethod{
		"Inject":         func(_ context.Context, a AdminArgs) (any, error) { return s.Inject(a.Fault), nil },
		"ClearFaults":    func(context.Context, AdminArgs) (any, error) { s.ClearFaults(); return done(nil) },
		"FaultHits":      func(_ context.Context, a AdminArgs) (any, error) { return s.FaultHits(a.ID), nil },
		"SetOutage":      func(_ context.Context, a AdminArgs) (any, error) { s.SetOutage(a.On); return done(nil) },
		"Anomalies":      func(context.Context, AdminArgs) (any, error) { return s.Anomalies(), nil },
		"ResetAnomalies": func(context.Context, AdminArgs) (any, error) { s.ResetAnomalies(); return done(nil) },
		"Calls":          func(context.Context, AdminArgs) (any, error) { return s.Calls(), nil },
	}
}
