package gitlabsim

import (
	"context"
	"fmt"
	"strings"
)

// PushSigned commits changes of files on top of a branch as Push does. sign
// makes an armored signature of the commit, as it is without one.
func (s *Server) PushSigned(projectID, branch string, files map[string]string, sign func(commit []byte) (string, error)) (string, error) {
	sha, err := s.Push(projectID, branch, files)
	if err != nil {
		return "", err
	}
	p, err := s.lookupProject(projectID)
	if err != nil {
		return "", err
	}
	ctx := context.Background()
	text, err := s.git.run(ctx, p.id, nil, nil, "cat-file", "commit", sha)
	if err != nil {
		return "", err
	}
	armored, err := sign([]byte(text))
	if err != nil {
		return "", err
	}
	head, message, ok := strings.Cut(text, "\n\n")
	if !ok {
		return "", fmt.Errorf("commit %s unreadable", sha)
	}
	signed := head + "\ngpgsig " + strings.ReplaceAll(strings.TrimSuffix(armored, "\n"), "\n", "\n ") + "\n\n" + message
	out, err := s.git.run(ctx, p.id, nil, []byte(signed), "hash-object", "-t", "commit", "-w", "--stdin")
	if err != nil {
		return "", err
	}
	sha = strings.TrimSpace(out)
	return sha, s.git.setRef(ctx, p.id, "refs/heads/"+orDefault(branch, p.defaultBranch), sha)
}
