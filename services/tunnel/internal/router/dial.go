package router

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxMessage bounds what the router may send, and what it takes, in bytes.
	maxMessage  = 10 << 20
	subprotocol = "ws-tunnel"
	pingEvery   = 55 * time.Second
	pingWithin  = 20 * time.Second
)

// dial connects to the address that GitLab named. Nothing is sent yet but for
// grpc's own first steps, which happen with the first call.
func (s *Source) dial(address string) (*grpc.ClientConn, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return nil, errors.New("GitLab names a job router without an address")
	}
	options := []grpc.DialOption{
		grpc.WithUserAgent(s.UserAgent),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingWithin, PermitWithoutStream: true}),
		grpc.WithDisableRetry(),
	}
	port := u.Port()
	switch u.Scheme {
	case "ws", "wss":
		// The HTTP client has the proxy and the certificates.
		options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.dialWebSocket(ctx, address) }))
		return grpc.NewClient("passthrough:///"+u.Host, options...)
	case "grpc":
		options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if port == "" {
			port = "80"
		}
	case "grpcs":
		options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(s.tls())))
		if port == "" {
			port = "443"
		}
	default:
		return nil, fmt.Errorf("GitLab names a job router at %s://, which Towline does not know", u.Scheme)
	}
	options = append(options, grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`))
	return grpc.NewClient("dns:///"+net.JoinHostPort(u.Hostname(), port), options...)
}

// dialWebSocket opens the WebSocket that carries the gRPC connection.
func (s *Source) dialWebSocket(ctx context.Context, address string) (net.Conn, error) {
	c, resp, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		HTTPClient:   s.HTTP,
		HTTPHeader:   http.Header{"Authorization": {"Bearer " + s.Token()}, "User-Agent": {s.UserAgent}},
		Subprotocols: []string{subprotocol},
	})
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close() // of a refusal; the connection itself is taken over
	}
	if err != nil {
		return nil, errors.New("the job router's WebSocket does not open") // the error may quote headers
	}
	if c.Subprotocol() != subprotocol {
		_ = c.CloseNow()
		return nil, errors.New("the job router's WebSocket does not speak " + subprotocol)
	}
	c.SetReadLimit(maxMessage)
	return websocket.NetConn(context.WithoutCancel(ctx), c, websocket.MessageBinary), nil
}

func (s *Source) tls() *tls.Config {
	if t, ok := s.HTTP.Transport.(*http.Transport); ok && t.TLSClientConfig != nil {
		return t.TLSClientConfig.Clone()
	}
	return &tls.Config{MinVersion: tls.VersionTLS12}
}
