// Package keys holds policy's signing key.
//
// The app package loads or generates it at start. The package hands out a
// signer and the public half as a JWKS; the private half never leaves it, and
// nothing of it is ever logged.
package keys
