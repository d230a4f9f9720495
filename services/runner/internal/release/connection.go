package release

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/towline/towline/pkg/closing"
)

// recordGrace is how long a run may go on writing what became of a release after
// the run itself has ended.
const recordGrace = 15 * time.Second

// recordPrefix begins the names of the Secrets that are Helm's release records.
const recordPrefix = "sh.helm.release.v1."

// connection is one run's way to the cluster: Helm's library takes no context,
// so the connection has it.
type connection struct {
	config    *rest.Config
	discovery discovery.CachedDiscoveryInterface
	mapper    *restmapper.DeferredDiscoveryRESTMapper
	namespace string
}

func newConnection(ctx context.Context, base *rest.Config, cached discovery.CachedDiscoveryInterface, namespace string) (*connection, func()) {
	duty, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(recordGrace, cancel) })
	cfg := rest.CopyConfig(base)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &boundTransport{run: ctx, duty: duty, next: next}
	})
	c := &connection{config: cfg, discovery: cached, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached), namespace: namespace}
	return c, func() { stop(); cancel() }
}

// ToRESTConfig implements genericclioptions.RESTClientGetter.
func (c *connection) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(c.config), nil }

// ToDiscoveryClient implements genericclioptions.RESTClientGetter.
func (c *connection) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return c.discovery, nil
}

// ToRESTMapper implements genericclioptions.RESTClientGetter.
func (c *connection) ToRESTMapper() (meta.RESTMapper, error) { return c.mapper, nil }

// ToRawKubeConfigLoader implements genericclioptions.RESTClientGetter. Only the
// namespace is ever asked of it.
func (c *connection) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	overrides := &clientcmd.ConfigOverrides{Context: clientcmdapi.Context{Namespace: c.namespace}}
	return clientcmd.NewDefaultClientConfig(*clientcmdapi.NewConfig(), overrides)
}

// forget drops what is known of the cluster's kinds: some have just been made.
func (c *connection) forget() {
	c.discovery.Invalidate()
	c.mapper.Reset()
}

// boundTransport ends all requests when the run ends, except those that record
// what became of the release.
type boundTransport struct {
	run, duty context.Context
	next      http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b *boundTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	limit := b.run
	if name := path.Base(req.URL.Path); strings.HasPrefix(name, recordPrefix) {
		limit = b.duty
	}
	if limit.Err() != nil {
		return refusal(req, context.Cause(limit)), nil //nolint:nilerr // the refusal says it
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	stop := context.AfterFunc(limit, func() { cancel(context.Cause(limit)) })
	resp, err := b.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		stop()
		cancel(nil)
		return nil, err
	}
	resp.Body = closing.Then(resp.Body, func() { stop(); cancel(nil) })
	return resp, nil
}

// refusal is an answer that nobody tries again: Helm's waiting goes on through
// broken connections, but not through a 4xx.
func refusal(req *http.Request, why error) *http.Response {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	text, _ := json.Marshal(&metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Message: "the run has ended: " + why.Error(), Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden,
	})
	return &http.Response{
		Status: "403 Forbidden", StatusCode: http.StatusForbidden, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(bytes.NewReader(text)), ContentLength: int64(len(text)),
	}
}
