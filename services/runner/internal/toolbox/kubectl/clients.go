package kubectl

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/openapi"
	cachedopenapi "k8s.io/client-go/openapi/cached"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// maxClients bounds the kubeconfigs of one job whose discovery is kept. A job
// with more of them forgets the earlier ones.
const maxClients = 16

// clientCache keeps discovery by complete credential: two configurations share
// an entry only if a server could not tell them apart. (A cache by host and
// user would let a kubeconfig made by the script answer for the job's own.)
type clientCache struct {
	mu      sync.Mutex
	entries map[[sha256.Size]byte]*client
}

// client is what commands with the same credential share.
type client struct {
	plain discovery.DiscoveryInterface
	kept  discovery.CachedDiscoveryInterface
}

// view is a client as one command sees it. What was read before the command
// began may be out of date, so a name that is not found is asked for once more:
// the job may have created its CustomResourceDefinition in the meantime.
type view struct {
	discovery.CachedDiscoveryInterface
	renewed atomic.Bool
	schemas func() openapi.Client
}

func (c *client) view() *view {
	return &view{CachedDiscoveryInterface: c.kept, schemas: sync.OnceValue(func() openapi.Client {
		return cachedopenapi.NewClient(c.plain.OpenAPIV3())
	})}
}

// Fresh implements discovery.CachedDiscoveryInterface.
func (v *view) Fresh() bool { return v.renewed.Load() }

// Invalidate implements discovery.CachedDiscoveryInterface.
func (v *view) Invalidate() {
	v.CachedDiscoveryInterface.Invalidate()
	v.renewed.Store(true)
}

// OpenAPIV3 implements discovery.OpenAPIV3SchemaInterface. Schemas change with
// their CustomResourceDefinitions, and few commands want them: they are kept for
// one command only.
func (v *view) OpenAPIV3() openapi.Client { return v.schemas() }

func (v *view) mapper(warn func(string)) meta.RESTMapper {
	return restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(v), v, warn)
}

func (cc *clientCache) get(cfg *rest.Config) (*client, error) {
	key, err := credential(cfg)
	if err != nil {
		return nil, err
	}
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if c, ok := cc.entries[key]; ok {
		return c, nil
	}
	shared := rest.CopyConfig(cfg)
	// Warnings of discovery would go to whichever command came first.
	shared.WarningHandler = rest.NoWarnings{}
	d, err := discovery.NewDiscoveryClientForConfig(shared)
	if err != nil {
		return nil, err
	}
	if cc.entries == nil || len(cc.entries) >= maxClients {
		cc.entries = map[[sha256.Size]byte]*client{}
	}
	c := &client{plain: d, kept: ordered{memory.NewMemCacheClient(d)}}
	cc.entries[key] = c
	return c, nil
}

// ordered lists resources in the order of their groups, as kubectl does; the
// cache behind it has them in no order.
type ordered struct {
	discovery.CachedDiscoveryInterface
}

// ServerGroupsAndResources implements discovery.ServerResourcesInterface.
func (o ordered) ServerGroupsAndResources() ([]*metav1.APIGroup, []*metav1.APIResourceList, error) {
	groups, lists, err := o.CachedDiscoveryInterface.ServerGroupsAndResources()
	place := map[string]int{}
	for _, group := range groups {
		for _, version := range group.Versions {
			place[version.GroupVersion] = len(place)
		}
	}
	slices.SortStableFunc(lists, func(a, b *metav1.APIResourceList) int {
		return place[a.GroupVersion] - place[b.GroupVersion]
	})
	return groups, lists, err
}

// credential is a digest of everything in cfg that decides where a request
// goes and as whom.
func credential(cfg *rest.Config) ([sha256.Size]byte, error) {
	proxy := ""
	if cfg.Proxy != nil {
		// A proxy of a kubeconfig is the same for every request.
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://kubernetes.invalid", nil)
		if err != nil {
			return [sha256.Size]byte{}, err
		}
		u, err := cfg.Proxy(req)
		if err != nil {
			return [sha256.Size]byte{}, err
		}
		proxy = fmt.Sprint(u)
	}
	text, err := json.Marshal(struct {
		Host, APIPath, User, Password, Token, TokenFile, Proxy string
		Impersonate                                            rest.ImpersonationConfig
		TLS                                                    rest.TLSClientConfig
		DisableCompression                                     bool
		Timeout                                                int64
	}{
		cfg.Host, cfg.APIPath, cfg.Username, cfg.Password, cfg.BearerToken, cfg.BearerTokenFile, proxy,
		cfg.Impersonate, cfg.TLSClientConfig, cfg.DisableCompression, int64(cfg.Timeout),
	})
	return sha256.Sum256(text), err
}
