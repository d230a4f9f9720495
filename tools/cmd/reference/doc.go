// Command reference writes docs/reference/settings.md and metrics.md: the options
// of each service with their environment variables, as the service itself names
// them with --help, and the metrics as they stand in the source.
//
// Without -write it compares and fails where a page is stale.
package main
