//go:build !race

package job

// StartEnvironment is the whole environment of a new job process. What it makes
// before it knows its job stays for good, so that collecting garbage meanwhile
// would be work for nothing; see collector.
func StartEnvironment() []string { return []string{"GOGC=off"} }
