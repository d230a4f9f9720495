package kubectl

import (
	"context"
	"io"
	"net/http"

	"k8s.io/client-go/transport/websocket"

	"github.com/towline/towline/pkg/closing"
)

// bind ties the requests of a command to its context. Upstream gives most of
// them context.Background, so get --watch and exec would go on after the end
// of the command.
func (c *command) bind(rt http.RoundTripper) http.RoundTripper {
	return boundTransport{RoundTripper: rt, ctx: c.ctx}
}

type boundTransport struct {
	http.RoundTripper
	ctx context.Context
}

// WrappedRoundTripper implements utilnet.RoundTripperWrapper.
func (t boundTransport) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(t.ctx, func() { cancel(t.ctx.Err()) })
	resp, err := t.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		stop()
		cancel(nil)
		return nil, err
	}
	if ws, ok := t.RoundTripper.(websocket.ConnectionHolder); ok && ws.Connection() != nil {
		// The connection outlives the request that opened it.
		conn := ws.Connection()
		context.AfterFunc(t.ctx, func() { _ = conn.Close() })
		return resp, nil
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp, nil
	}
	resp.Body = closing.Then(resp.Body, func() { stop(); cancel(nil) })
	return resp, nil
}

// boundWriter refuses output after the end of a command: what it left behind
// must not write between the lines of the next.
type boundWriter struct {
	io.Writer
	ctx context.Context
}

// Write implements io.Writer.
func (w boundWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}
