// Package objref names objects of a cluster: by group, kind, namespace and name.
//
// The apply engine and its parts use it. It knows the spelling of inventories
// (cli-utils) and of the annotation depends-on, and nothing about what exists.
package objref
