// Package pki makes the certificates and keys of one throw-away control plane:
// a certificate authority, the API server's serving certificate, client
// certificates, and the key that signs ServiceAccount tokens.
//
// The controlplane program calls it once per start. It never reads a
// certificate it did not make, and nothing it makes is meant to outlive a test
// or a demo: keys are stored unencrypted, readable by their owner only.
package pki
