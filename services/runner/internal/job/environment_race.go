//go:build race

package job

// StartEnvironment is that of a build with the race detector, which otherwise
// sleeps for a second before each process ends.
func StartEnvironment() []string { return []string{"GOGC=off", "GORACE=atexit_sleep_ms=50"} }
