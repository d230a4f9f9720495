package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// Times that a kubelet gives its clients.
const (
	idle     = 5 * time.Minute
	creation = 10 * time.Second
)

// handler serves the paths that kube-apiserver asks for, and no other.
func (k *Kubelet) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.serveLogs)
	for _, method := range []string{http.MethodGet, http.MethodPost} { // GET opens a WebSocket
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{container}", k.serveExec)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{container}", k.serveAttach)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}", k.servePortForward)
	}
	return mux
}

func (k *Kubelet) serveExec(w http.ResponseWriter, r *http.Request) {
	c, err := k.container(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	command := r.URL.Query()["command"]
	opts, err := remotecommand.NewOptions(r)
	if err == nil && len(command) == 0 {
		err = errors.New("no command")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, streams{c}, r.PathValue("pod"), "", c.Name, command, opts, idle, creation, remotecommand.SupportedStreamingProtocols)
}

func (k *Kubelet) serveAttach(w http.ResponseWriter, r *http.Request) {
	c, err := k.container(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	opts, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeAttach(w, r, streams{c}, r.PathValue("pod"), "", c.Name, opts, idle, creation, remotecommand.SupportedStreamingProtocols)
}

func (k *Kubelet) servePortForward(w http.ResponseWriter, r *http.Request) {
	pod, err := k.pod(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	opts, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, ports(pod.Ports), pod.Name, "", opts, idle, creation, portforward.SupportedProtocols)
}

// ports are those of a Pod.
type ports map[int32]string

// PortForward implements portforward.PortForwarder.
func (p ports) PortForward(ctx context.Context, name, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	address, ok := p[port]
	if !ok {
		return fmt.Errorf("nothing listens on port %d of pod %s", port, name)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	done := make(chan error, 2)
	go func() {
		_, err := io.Copy(conn, stream)
		if half, ok := conn.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
		done <- err
	}()
	go func() {
		_, err := io.Copy(stream, conn)
		done <- err
		_ = stream.Close()
	}()
	return errors.Join(<-done, <-done)
}

// logOptions are the query parameters of a log that are understood here.
type logOptions struct {
	follow     bool
	tail       int // -1 is everything
	limitBytes int // -1 is no limit
}

func parseLogOptions(q url.Values) (logOptions, error) {
	o := logOptions{tail: -1, limitBytes: -1}
	for key := range q {
		var err error
		switch value := q.Get(key); key {
		case "follow":
			o.follow, err = strconv.ParseBool(value)
		case "tailLines":
			o.tail, err = strconv.Atoi(value)
		case "limitBytes":
			o.limitBytes, err = strconv.Atoi(value)
		default:
			err = errors.New("not supported by the stand-in")
		}
		if err != nil {
			return o, fmt.Errorf("%s: %w", key, err)
		}
	}
	return o, nil
}

func (k *Kubelet) serveLogs(w http.ResponseWriter, r *http.Request) {
	c, err := k.container(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	o, err := parseLogOptions(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	text, _ := c.since(0)
	offset := len(text)
	text = lastLines(text, o.tail)
	if o.limitBytes >= 0 {
		text = text[:min(len(text), o.limitBytes)]
	}
	out := flushing{w, http.NewResponseController(w)}
	if _, err := out.Write(text); err == nil && o.follow {
		_ = c.follow(r.Context(), out, offset)
	}
}

// lastLines is the end of a text; n of -1 is all of it.
func lastLines(text []byte, n int) []byte {
	if n < 0 {
		return text
	}
	from := len(bytes.TrimSuffix(text, []byte("\n")))
	for range n {
		from = bytes.LastIndexByte(text[:from], '\n')
		if from < 0 {
			return text
		}
	}
	if n == 0 {
		return nil
	}
	return text[from+1:]
}

// flushing sends each piece at once.
type flushing struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements io.Writer.
func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}
