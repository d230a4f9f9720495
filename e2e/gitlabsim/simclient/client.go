package simclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
)

// Client talks to one simulator.
type Client struct {
	base string
	http *http.Client
}

// New takes the URL the simulator printed; a nil client means the default one.
func New(url string, client *http.Client) *Client {
	if client == nil {
		client = http.DefaultClient
	}
	return &Client{base: strings.TrimSuffix(url, "/") + "/_sim/", http: client}
}

func call[Out any](ctx context.Context, c *Client, method string, args sim.AdminArgs) (out Out, err error) {
	body, err := json.Marshal(args)
	if err != nil {
		return out, fmt.Errorf("%s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+method, bytes.NewReader(body))
	if err != nil {
		return out, fmt.Errorf("%s: %w", method, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return out, fmt.Errorf("%s: %w", method, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return out, fmt.Errorf("%s: %w", method, err)
	}
	if resp.StatusCode != http.StatusOK {
		var e struct{ Error string }
		if json.Unmarshal(raw, &e) == nil && e.Error != "" {
			return out, fmt.Errorf("%s: %s", method, e.Error)
		}
		return out, fmt.Errorf("%s: %s", method, resp.Status)
	}
	return out, json.Unmarshal(raw, &out)
}

func do(ctx context.Context, c *Client, method string, args sim.AdminArgs) error {
	_, err := call[struct{}](ctx, c, method, args)
	return err
}

// Info answers the simulator's external URL.
func (c *Client) Info(ctx context.Context) (sim.Info, error) {
	return call[sim.Info](ctx, c, "Info", sim.AdminArgs{})
}

// Inject arms a fault and answers its id.
func (c *Client) Inject(ctx context.Context, f sim.Fault) (int64, error) {
	return call[int64](ctx, c, "Inject", sim.AdminArgs{Fault: f})
}

// ClearFaults disarms all faults.
func (c *Client) ClearFaults(ctx context.Context) error {
	return do(ctx, c, "ClearFaults", sim.AdminArgs{})
}

// FaultHits answers how many requests a fault has hit.
func (c *Client) FaultHits(ctx context.Context, id int64) (int, error) {
	return call[int](ctx, c, "FaultHits", sim.AdminArgs{ID: id})
}

// SetOutage turns the whole-server outage on or off.
func (c *Client) SetOutage(ctx context.Context, on bool) error {
	return do(ctx, c, "SetOutage", sim.AdminArgs{On: on})
}

// Anomalies answers everything recorded so far.
func (c *Client) Anomalies(ctx context.Context) ([]sim.Anomaly, error) {
	return call[[]sim.Anomaly](ctx, c, "Anomalies", sim.AdminArgs{})
}

// ResetAnomalies forgets the anomalies.
func (c *Client) ResetAnomalies(ctx context.Context) error {
	return do(ctx, c, "ResetAnomalies", sim.AdminArgs{})
}

// Calls answers every request served so far.
func (c *Client) Calls(ctx context.Context) ([]sim.Call, error) {
	return call[[]sim.Call](ctx, c, "Calls", sim.AdminArgs{})
}

// RunWatchdogs lets GitLab give up on silent jobs.
func (c *Client) RunWatchdogs(ctx context.Context) error {
	return do(ctx, c, "RunWatchdogs", sim.AdminArgs{})
}

// Wait blocks until the job has one of the states, by default a final one; ctx
// bounds it.
func (c *Client) Wait(ctx context.Context, id int64, states ...sim.Status) (sim.Job, error) {
	return call[sim.Job](ctx, c, "Wait", sim.AdminArgs{ID: id, States: states})
}

// WaitPipeline blocks until the pipeline has one of the states.
func (c *Client) WaitPipeline(ctx context.Context, id int64, states ...sim.Status) (sim.Pipeline, error) {
	return call[sim.Pipeline](ctx, c, "WaitPipeline", sim.AdminArgs{ID: id, States: states})
}

// WaitTrace blocks until the job's log contains the text.
func (c *Client) WaitTrace(ctx context.Context, id int64, text string) error {
	if text == "" {
		return errors.New("WaitTrace: empty text")
	}
	return do(ctx, c, "WaitTrace", sim.AdminArgs{ID: id, Text: text})
}

// Trace answers the raw log.
func (c *Client) Trace(ctx context.Context, id int64) ([]byte, error) {
	return call[[]byte](ctx, c, "Trace", sim.AdminArgs{ID: id})
}

// Log answers the log as the job page shows it.
func (c *Client) Log(ctx context.Context, id int64) (joblog.Log, error) {
	return call[joblog.Log](ctx, c, "Log", sim.AdminArgs{ID: id})
}

// ArtifactContent answers the stored file of a type, "archive" for the zip.
func (c *Client) ArtifactContent(ctx context.Context, id int64, kind string) ([]byte, error) {
	return call[[]byte](ctx, c, "ArtifactContent", sim.AdminArgs{ID: id, Name: kind})
}
