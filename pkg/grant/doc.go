// Package grant is the signed permission of one job: who it acts as in the
// cluster, where, until when and for which payload.
//
// The policy service signs grants; the runner, the gate and the egress proxy
// verify them. A grant is a JWT (RFC 7519) signed with Ed25519 (RFC 8037); the
// keys travel as a JWKS (RFC 7517). The package decides nothing, logs nothing
// and keeps no grant; its only I/O is fetching the JWKS.
package grant
