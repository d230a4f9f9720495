// Package lint is the command that checks the files Towline reads before they
// are in force: config.yaml, towline.yaml and the rules of the cluster's owner.
//
// app calls it for "policy lint". It reads files with the very parsers that the
// services use, talks to nobody and changes nothing.
package lint
