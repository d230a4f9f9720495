package gate

import (
	"context"

	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/towline/towline/pkg/grant"
)

// Request is one request to the Kubernetes API as its RBAC would see it. A
// request for no resource has a verb and a path only.
type Request struct {
	Verb        string // get, list, watch, create, update, patch, delete, deletecollection; else the method in lower case
	APIGroup    string // "" is the core group
	APIVersion  string
	Resource    string
	Subresource string
	Namespace   string // "" is all namespaces, or none
	Name        string
	Path        string // without the query
}

// Rules are those of the cluster's owner. They narrow what policy signed.
type Rules interface {
	// Check refuses a request with an error, whose text the job is shown in a
	// Status with code 403. It is asked once per request, after the gate's own
	// checks, and concurrently.
	Check(ctx context.Context, c *grant.Claims, r Request) error
}

func described(info *request.RequestInfo) Request {
	return Request{
		Verb: info.Verb, APIGroup: info.APIGroup, APIVersion: info.APIVersion, Resource: info.Resource, Subresource: info.Subresource,
		Namespace: info.Namespace, Name: info.Name, Path: info.Path,
	}
}
