// Package manifests reads Kubernetes manifests, YAML or JSON, into objects that
// know where they stand: file, line, place in the file.
//
// What builds a set for the apply engine calls it. It reads a text as kubectl
// does (YAML 1.1: an unquoted yes is true), reports every fault at once with
// file, line and remedy, and holds each file to limits of size, count, depth and
// of what aliases blow up to. It never opens a file, never follows a reference
// and never asks a cluster: whether a kind exists is the engine's question.
package manifests
