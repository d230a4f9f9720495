package explain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/towline/towline/services/policy/internal/records"
)

// Limits on what goes over the socket.
const (
	maxQuestion = 64 << 10
	maxAnswer   = 8 << 20
	timeout     = 10 * time.Second
)

// Listen opens the socket: a path, or a name that starts with @ and needs no
// file (an abstract socket of Linux). Only processes of the same user get an
// answer, which in a pod is whoever may already run commands in it.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", address)
	if err != nil {
		return nil, fmt.Errorf("--explain-socket=%s: %w", address, err)
	}
	return sameUser{l}, nil
}

// sameUser closes the connections of other users.
type sameUser struct{ net.Listener }

// Accept implements net.Listener.
func (l sameUser) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || mine(c) {
			return c, err
		}
		_ = c.Close()
	}
}

// Handler answers on the socket.
func (p *Policy) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /show", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.Show(), nil) })
	mux.HandleFunc("POST /explain", func(w http.ResponseWriter, r *http.Request) {
		var q Question
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&q); err != nil {
			answer(w, nil, errors.New("the question cannot be read: use the command of the same version"))
			return
		}
		a, err := p.Explain(q)
		answer(w, a, err)
	})
	mux.HandleFunc("GET /decisions/{job}", func(w http.ResponseWriter, r *http.Request) {
		job, err := strconv.ParseInt(r.PathValue("job"), 10, 64)
		if err != nil {
			answer(w, nil, errors.New("want the id of a job"))
			return
		}
		answer(w, p.Records.Of(job), nil)
	})
	return mux
}

func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		v = map[string]string{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(v) // the asker is gone
}

// client asks the running service.
type client struct{ http http.Client }

func newClient(address string) *client {
	return &client{http.Client{
		Timeout: timeout,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", address)
		}},
	}}
}

func (c *client) show(ctx context.Context) (*Overview, error) {
	return ask[*Overview](ctx, c, http.MethodGet, "/show", nil)
}

func (c *client) explain(ctx context.Context, q Question) (*Answer, error) {
	return ask[*Answer](ctx, c, http.MethodPost, "/explain", q)
}

func (c *client) decisions(ctx context.Context, job int64) ([]records.Record, error) {
	return ask[[]records.Record](ctx, c, http.MethodGet, "/decisions/"+strconv.FormatInt(job, 10), nil)
}

func ask[T any](ctx context.Context, c *client, method, path string, body any) (v T, err error) {
	b, err := json.Marshal(body)
	if err != nil {
		return v, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://policy"+path, bytes.NewReader(b))
	if err != nil {
		return v, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return v, fmt.Errorf("the running policy does not answer; run this in its pod, as its user: %w", err)
	}
	defer resp.Body.Close()
	b, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return v, err
	}
	if resp.StatusCode != http.StatusOK {
		var problem struct{ Error string }
		_ = json.Unmarshal(b, &problem)
		return v, errors.New(problem.Error)
	}
	return v, json.Unmarshal(b, &v)
}
