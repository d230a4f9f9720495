package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/runner/internal/release"
)

// Keys of the Secret of a repository, as Kubernetes' own types of Secrets have
// them.
const (
	keyUser     = "username"
	keyPassword = "password"
	keyCA       = "ca.crt"
	keyDocker   = ".dockerconfigjson"
)

// chartRepository is the repository of an entry, with what its Secret holds. The
// Secret is read as the sync's own identity.
func chartRepository(ctx context.Context, cluster *rest.Config, req *Request) (*release.Repository, error) {
	r, namespace := req.Task.Entry.Chart.Repository, req.Task.Entry.DefaultNamespace
	out := &release.Repository{URL: r.URL, Chart: r.Chart, Version: r.Version, PlainHTTP: r.PlainHTTP, CA: req.OutsideCA}
	if req.proxy() == "" {
		return nil, errNoWay
	}
	if r.Secret == "" {
		return out, nil
	}
	client, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return nil, err
	}
	data, err := read(ctx, client, namespace, agentconfig.ValueSource{Kind: "Secret", Name: r.Secret})
	if err != nil {
		return nil, fmt.Errorf("source.repository.secret: Secret %s/%s: %w; create it, or give the sync's identity the right to read it", namespace, r.Secret, err)
	}
	if err := credentials(out, data); err != nil {
		return nil, fmt.Errorf("source.repository.secret: Secret %s/%s: %w", namespace, r.Secret, err)
	}
	return out, nil
}

// credentials takes over what a Secret holds for a repository.
func credentials(r *release.Repository, data map[string]string) error {
	if ca := data[keyCA]; ca != "" {
		r.CA = strings.TrimSpace(r.CA+"\n"+ca) + "\n"
	}
	switch {
	case data[keyUser] != "":
		r.Username, r.Password = agentconfig.Secret(data[keyUser]), agentconfig.Secret(data[keyPassword])
		return nil
	case data[keyDocker] != "":
		return dockerCredentials(r, data[keyDocker])
	case data[keyCA] != "":
		return nil
	}
	return fmt.Errorf("it needs the keys %s and %s, or %s, or %s", keyUser, keyPassword, keyDocker, keyCA)
}

// dockerCredentials finds the host of a repository in the file that kubectl
// create secret docker-registry makes.
func dockerCredentials(r *release.Repository, text string) error {
	var file struct {
		Auths map[string]struct{ Username, Password string } `json:"auths"`
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return errors.New(keyDocker + " is not JSON as docker login writes it") // the cause might quote it
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return errors.New("the repository's address cannot be read")
	}
	for _, name := range []string{u.Host, "https://" + u.Host, "http://" + u.Host} {
		if a, ok := file.Auths[name]; ok && a.Username != "" {
			r.Username, r.Password = agentconfig.Secret(a.Username), agentconfig.Secret(a.Password)
			return nil
		}
	}
	return fmt.Errorf("%s has no username for %s", keyDocker, u.Host)
}
