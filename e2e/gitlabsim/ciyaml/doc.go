// Package ciyaml reads a .gitlab-ci.yml the way the simulator needs it: one
// file, no includes, every keyword either understood or refused by name. The
// simulator's pipeline creation calls it; it never touches files or networks
// and knows nothing about running jobs.
package ciyaml
