// Dns is CoreDNS with what a cluster's name service needs and nothing else: the
// plugins kubernetes, cache, errors and ready.
//
// Package node runs it in a pod, as clusters do. It lives in a module of its own,
// outside go.work, because CoreDNS chooses its libraries itself.
package main
