// Package sops reads YAML and JSON files whose values SOPS has encrypted for age
// keys: what the repository of a gitops entry holds of secrets.
//
// The sync process calls it with keys that it has read from the cluster. A file
// is believed only if its message authentication code is right, so that nobody
// without the key can change, add or remove a value in it. The package knows age
// alone, since SOPS' own library brings the clients of every cloud's key service
// along; it opens no file, asks no service and never logs.
package sops
