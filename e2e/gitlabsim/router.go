package gitlabsim

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	routerPath        = "/-/kubernetes-agent/"
	routerSubprotocol = "ws-tunnel"
	maxRouterMessage  = 10 << 20
)

// routerDiscovery is GET runners/router/discovery (2.3): 501 without a router.
func (s *Server) routerDiscovery(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	rn := s.runnerByToken(r.Header.Get("RUNNER-TOKEN"))
	if rn == nil || rn.deleted {
		s.note(RunnersOther, 0, "router discovery with an unknown runner token")
	}
	s.mu.Unlock()
	switch {
	case rn == nil || rn.deleted:
		refuse(w, http.StatusForbidden, "")
	case !s.opts.JobRouter:
		refuse(w, http.StatusNotImplemented, "")
	default:
		writeJSON(w, http.StatusOK, obj{"server_url": "ws://" + s.Addr() + routerPath})
	}
}

// routerServer is gRPC over WebSockets that the HTTP server accepts.
type routerServer struct {
	grpc  *grpc.Server
	conns chan net.Conn
	once  sync.Once
	ended chan struct{}
	addr  net.Addr
}

// newRouter starts a gRPC server that waits for connections.
func (s *Server) newRouter() *routerServer {
	r := &routerServer{conns: make(chan net.Conn), ended: make(chan struct{}), addr: s.ln.Addr()}
	r.grpc = grpc.NewServer(grpc.ForceServerCodecV2(routerCodec{}), grpc.MaxRecvMsgSize(maxRouterMessage))
	r.grpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: "gitlab.agent.job_router.rpc.JobRouter", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "GetJob", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in routerMessage
			if err := decode(&in); err != nil {
				s.anomaly(JobRouter, 0, "GetJobRequest cannot be read: %v", err)
				return nil, status.Error(codes.Internal, "")
			}
			return s.routedJob(ctx, in)
		}}},
	}, s)
	go func() { _ = r.grpc.Serve(r) }()
	return r
}

func (r *routerServer) close() { r.grpc.Stop() }

// Accept implements net.Listener.
func (r *routerServer) Accept() (net.Conn, error) {
	select {
	case c := <-r.conns:
		return c, nil
	case <-r.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (r *routerServer) Close() error {
	r.once.Do(func() { close(r.ended) })
	return nil
}

// Addr implements net.Listener.
func (r *routerServer) Addr() net.Addr { return r.addr }

// serveRouter takes a WebSocket over to the gRPC server.
func (s *Server) serveRouter(w http.ResponseWriter, r *http.Request) {
	token := bearer(r.Header.Get("Authorization"))
	s.mu.Lock()
	known := s.runnerByToken(token) != nil
	if !known {
		s.note(JobRouter, 0, "WebSocket without the runner token")
	}
	if r.UserAgent() == "" {
		s.note(JobRouter, 0, "WebSocket without User-Agent")
	}
	s.mu.Unlock()
	if !s.opts.JobRouter || !known || s.inOutage(JobRouter, 0) {
		refuse(w, http.StatusForbidden, "")
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{routerSubprotocol}})
	if err != nil {
		s.anomaly(JobRouter, 0, "WebSocket not accepted: %v", err)
		return
	}
	if c.Subprotocol() != routerSubprotocol {
		s.anomaly(JobRouter, 0, "WebSocket with the subprotocol %q", c.Subprotocol())
		_ = c.Close(websocket.StatusPolicyViolation, "subprotocol")
		return
	}
	c.SetReadLimit(maxRouterMessage)
	select {
	case s.router.conns <- websocket.NetConn(context.WithoutCancel(r.Context()), c, websocket.MessageBinary):
	case <-s.router.ended:
		_ = c.CloseNow()
	}
}

func bearer(header string) string {
	const prefix = "Bearer "
	if len(header) > len(prefix) && header[:len(prefix)] == prefix {
		return header[len(prefix):]
	}
	return ""
}

// routedJob is GetJob: the request's JSON goes to the application as it is, the
// answer's comes back as it is (19).
func (s *Server) routedJob(ctx context.Context, in routerMessage) (out *routerMessage, err error) {
	began := s.now()
	code := http.StatusServiceUnavailable
	defer func() {
		if recover() != nil { // an outage
			out, err = nil, status.Error(codes.Unavailable, "outage")
		}
		s.logCall(Call{At: began, Endpoint: JobRouter, Method: "GetJob", Path: routerPath, Status: code, Took: s.now().Sub(began)})
	}()
	s.checkRouterMetadata(ctx)
	if s.inOutage(JobRouter, 0) {
		return nil, status.Error(codes.Unavailable, "outage")
	}
	if f := s.takeFault(JobRouter, 0, false); f != nil && f.Code != 0 {
		return nil, status.Error(codes.Code(f.Code), "fault")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "/api/v4/jobs/request", bytes.NewReader(in.json))
	if err != nil {
		return nil, status.Error(codes.Internal, "request")
	}
	req.Header.Set("Content-Type", "application/json")
	answer := &buffered{header: http.Header{}}
	s.requestJob(answer, req)
	code = answer.status
	if v := answer.header.Get("X-GitLab-Last-Update"); v != "" {
		_ = grpc.SetHeader(ctx, metadata.Pairs("x-gitlab-last-update", v))
	}
	switch code {
	case http.StatusCreated:
		return &routerMessage{json: answer.body.Bytes()}, nil
	case http.StatusNoContent, http.StatusConflict:
		return &routerMessage{}, nil
	case http.StatusForbidden:
		return nil, status.Error(codes.Unauthenticated, "403 Forbidden")
	case http.StatusTooManyRequests:
		return nil, status.Error(codes.ResourceExhausted, "429")
	}
	return nil, status.Error(codes.Unknown, "the application answers an error")
}

// checkRouterMetadata notes what a runner has to send with each call.
func (s *Server) checkRouterMetadata(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	first := func(key string) string {
		if v := md.Get(key); len(v) == 1 {
			return v[0]
		}
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runnerByToken(bearer(first("authorization"))) == nil {
		s.note(JobRouter, 0, "GetJob without the runner token in its metadata")
	}
	if first("gitlab-agent-type") != "runner" {
		s.note(JobRouter, 0, "GetJob with gitlab-agent-type %q", first("gitlab-agent-type"))
	}
	if first("x-request-id") == "" {
		s.note(JobRouter, 0, "GetJob without x-request-id")
	}
}
