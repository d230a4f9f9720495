// Package scenarios holds the end-to-end tests: a pipeline in a simulated but
// strict GitLab, the three services as separate processes, a real Redis and a
// real Kubernetes API.
//
// Each scenario is a folder under testdata: input/ is the project as it stands
// in GitLab, want/ what GitLab's page must show. After every scenario GitLab
// must have seen no request that a correct runner would not make.
package scenarios
