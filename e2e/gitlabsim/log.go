package gitlabsim

import "github.com/towline/towline/e2e/gitlabsim/joblog"

// Log answers the job's log as the job page shows it.
func (s *Server) Log(id int64) (joblog.Log, error) {
	raw, err := s.Trace(id)
	return joblog.Parse(raw), err
}
