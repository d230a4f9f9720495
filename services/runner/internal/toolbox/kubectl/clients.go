package kubectl

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
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
	discovery discovery.CachedDiscoveryInterface
	mapper    *restmapper.DeferredDiscoveryRESTMapper
}

func (c *client) expander(warn func(string)) meta.RESTMapper {
	return restmapper.NewShortcutExpander(c.mapper, c.discovery, warn)
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
	cached := ordered{memory.NewMemCacheClient(d)}
	c := &client{discovery: cached, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached)}
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
