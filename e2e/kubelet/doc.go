// Package kubelet is a small, strict stand-in for a kubelet: a Node and running
// Pods in a real API server, and behind them a server that speaks what
// kube-apiserver asks of a kubelet for logs, exec, attach and port-forward.
//
// Tests of the gate and of kubectl start one beside package cluster's control
// plane. Commands of its containers are processes of this machine in a
// directory of their own, with a time limit. It never pulls an image, never
// starts what a Pod names, and listens on loopback only.
package kubelet
