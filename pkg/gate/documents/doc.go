// Package documents keeps what the Kubernetes API says about itself (aggregated
// discovery and OpenAPI) between the jobs that ask for it.
//
// The gate puts it in front of its connection to the API server. Every request
// still reaches the API server under the identity of its job, as a question
// whether the kept document is current: who may read it and what it says stays
// the API server's decision, and only the transfer is saved. It never answers by
// itself and never keeps what has no ETag.
package documents
