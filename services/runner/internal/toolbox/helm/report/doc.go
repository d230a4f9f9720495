// Package report is what helm's commands show: releases, revisions, values,
// charts and repositories as a table, JSON or YAML, with the columns and keys of
// the helm binary.
//
// The helm command hands its results to the types of this package. They ask
// neither the cluster nor the disk for anything.
package report
