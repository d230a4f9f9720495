package access

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
