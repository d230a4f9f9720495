// Package tail keeps the last errors of a klog stream, so that a control plane
// that fails can say why in one line although its log is discarded.
//
// The controlplane program puts it behind klog. It never writes anywhere and
// holds a bounded number of bounded lines.
package tail
