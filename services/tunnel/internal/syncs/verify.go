package syncs

import (
	"context"
	"fmt"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitobject"
	"github.com/towline/towline/services/tunnel/internal/signature"
	"github.com/towline/towline/services/tunnel/internal/sources"
)

// verify holds the files of a commit against the commit itself, and that against
// those who may sign commits of the entry. GitLab is not asked for its opinion.
// wrong is why the commit is not taken.
func (f *follower) verify(ctx context.Context, token, commit string, files []syncspec.File) (wrong, err error) {
	if len(f.entry.Signers) == 0 {
		return nil, nil
	}
	signers, err := signature.Parse(f.entry.Signers)
	if err != nil {
		return fmt.Errorf("%s: %w", f.entry, err), nil
	}
	pack, err := f.GitLab.Directories(ctx, token, f.entry.Project, commit)
	if err != nil {
		return nil, fmt.Errorf("signature of %.8s: %w", commit, err)
	}
	who, wrong := verified(signers, gitobject.ID(commit), pack, func(tree []gitobject.File) error { return sources.Confirm(f.entry, files, tree, gitobject.ID(commit)) })
	if wrong != nil {
		return fmt.Errorf("commit %.8s is not taken: %w", commit, wrong), nil
	}
	f.Log.Info("signature of a commit is good", service.KeyEntry, f.entry.Name, service.KeyProject, f.entry.Project, "commit", commit, "signer", who)
	return nil, nil
}

func verified(signers *signature.Signers, id gitobject.ID, pack []byte, confirm func([]gitobject.File) error) (who string, err error) {
	objects, err := gitobject.Read(pack, id)
	if err != nil {
		return "", err
	}
	c, err := objects.Commit(id)
	if err != nil {
		return "", err
	}
	if who, err = signers.Verify(c.Payload, c.Signature); err != nil {
		return "", err
	}
	tree, err := objects.Files(c.Tree)
	if err != nil {
		return "", err
	}
	return who, confirm(tree)
}
