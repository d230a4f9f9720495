package gate

import (
	"context"

	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/towline/towline/pkg/access"
	"github.com/towline/towline/pkg/grant"
)

// Rules are those of the cluster's owner. They narrow what policy signed.
type Rules interface {
	// Check refuses a request with an error, whose text the job is shown in a
	// Status with code 403. It is asked once per request, after the gate's own
	// checks, and concurrently.
	Check(ctx context.Context, c *grant.Claims, r access.Request) error
}

func described(info *request.RequestInfo) access.Request {
	return access.Request{
		Verb: info.Verb, APIGroup: info.APIGroup, APIVersion: info.APIVersion, Resource: info.Resource, Subresource: info.Subresource,
		Namespace: info.Namespace, Name: info.Name, Path: info.Path,
	}
}
