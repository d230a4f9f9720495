// Package filewatch follows files while a service runs, and keeps the last good
// of what was made of them.
//
// Those who read configuration, rules and keys call it. It reads the bytes instead
// of waiting for file events: the volume of a ConfigMap or a Secret changes by
// swapping a symbolic link, which events report badly. It opens no file itself
// and knows nothing of what is in them.
package filewatch
