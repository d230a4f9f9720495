// Package certs reads certificates from files that somebody else replaces: a
// mounted Secret or ConfigMap after a rotation.
//
// The services call it for what they serve with and for whom they trust. A
// replaced file is used from the next handshake on; one that cannot be read, or
// is half written, changes nothing. It never writes a file, never keeps a
// goroutine, and never turns verification off.
package certs
