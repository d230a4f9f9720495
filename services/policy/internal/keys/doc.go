// Package keys holds policy's signing keys and changes them while policy runs.
//
// The app package loads or generates them at start and has their files watched.
// The newest key signs; every key is published, so that grants which an older
// one has signed stay good until it is taken away. The private halves never
// leave the package, and nothing of them is ever logged.
package keys
