package policyapi

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// PathDecideSync is where decisions about syncs are asked for.
const PathDecideSync = "/v1/decide-sync"

// SyncEvidence is what is known of a sync. The commit is what GitLab has
// answered; what the entry may do stands in the configuration alone.
type SyncEvidence struct {
	// Entry is the name of an entry of gitops in the configuration.
	Entry         string `json:"entry"`
	Commit        string `json:"commit"`
	PayloadDigest string `json:"payload_digest"` // of the task
	// Removed asks for the grant that uninstalls what an entry has left that is no
	// longer in the configuration.
	Removed *Removed `json:"removed,omitempty"`
}

// Removed is the last that policy has allowed an entry.
type Removed struct {
	Task  []byte `json:"task"`
	Grant string `json:"grant"` // for Task; its time may be over
}

// SyncRequest is the body of POST /v1/decide-sync.
type SyncRequest struct {
	SyncEvidence
	Configuration *Configuration `json:"configuration,omitempty"`
}

// ReadSyncRequest reads the body of POST /v1/decide-sync as ReadRequest does.
func ReadSyncRequest(r io.Reader) (*SyncRequest, error) {
	var req SyncRequest
	if err := readStrictly(r, &req); err != nil {
		return nil, err
	}
	switch {
	case req.Entry == "" || req.Commit == "":
		return nil, errors.New("fields entry and commit: are missing")
	case req.PayloadDigest == "":
		return nil, errors.New("field payload_digest: is missing")
	case req.Removed != nil && (len(req.Removed.Task) == 0 || req.Removed.Grant == ""):
		return nil, errors.New("fields task and grant of removed: are missing")
	}
	return &req, req.Configuration.validate()
}

// DecideSync returns policy's decision about a sync, as Decide does of a job.
func (c *Client) DecideSync(ctx context.Context, e SyncEvidence, conf *Configuration) (*Decision, error) {
	d, err := c.ask(ctx, PathDecideSync, conf, func(conf *Configuration) any { return SyncRequest{SyncEvidence: e, Configuration: conf} })
	if err != nil {
		return nil, fmt.Errorf("decide sync %s: %w", e.Entry, err)
	}
	return d, nil
}
