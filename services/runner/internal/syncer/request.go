package syncer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/sandbox"
)

// Request is what a sync process is told on its standard input.
type Request struct {
	Task       syncspec.Task  `json:"task"`
	AgentID    int64          `json:"agent_id"`
	Namespaces []string       `json:"namespaces,omitempty"` // that the grant allows; none is any
	Token      string         `json:"token"`                // the grant
	GatePort   uint16         `json:"gate_port"`
	EgressPort uint16         `json:"egress_port,omitempty"` // 0: the entry needs nothing of other servers
	CA         []byte         `json:"ca"`                    // PEM, of the gate
	OutsideCA  string         `json:"outside_ca,omitempty"`  // PEM, to trust outside beside the system's
	Bundle     string         `json:"bundle"`
	Dir        string         `json:"dir"`
	Temp       string         `json:"temp"`
	Sandbox    string         `json:"sandbox"`
	Limits     sandbox.Limits `json:"limits"`
	Past       *Past          `json:"past,omitempty"` // nil: this is the first sync that is known of
	Runner     string         `json:"runner"`         // this replica's name
	// Patience is for how long other servers may keep the sync waiting before it
	// ends without a word to anybody but its runner; 0 is as long as ever.
	Patience time.Duration `json:"patience,omitempty"`
	Refusal  string        `json:"refusal,omitempty"` // why nothing is tried now

	Tells bool `json:"tells,omitempty"` // the runner reads what was fetched from tellFile

	fetches fetches
	way     string // another way out than the sync's own: a job's
}

// charts is the directory for what the entry's chart repository has sent.
func (r *Request) charts() string { return filepath.Join(r.Temp, "charts") }

// proxy is the way out: the tunnel's egress proxy, with the grant as password; ""
// if there is none.
func (r *Request) proxy() string {
	if r.way != "" || r.EgressPort == 0 {
		return r.way
	}
	return fmt.Sprintf("http://sync:%s@127.0.0.1:%d", r.Token, r.EgressPort)
}

// ports are all that the process may connect to.
func (r *Request) ports() []uint16 {
	if r.EgressPort == 0 {
		return []uint16{r.GatePort}
	}
	return []uint16{r.GatePort, r.EgressPort}
}

// Limits of what the two processes tell each other, in bytes.
const (
	maxRequest = 1 << 20
	maxReport  = 1 << 20
	maxWords   = 16 << 10
)

// readJSON reads one value within a limit.
func readJSON(r io.Reader, limit int64, v any) error {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return err
	case int64(len(b)) > limit:
		return fmt.Errorf("more than %d bytes", limit)
	case len(b) == 0:
		return errors.New("nothing was said")
	}
	return json.Unmarshal(b, v)
}
