package gitlab

import "slices"

// Reason maps one of our failure reasons to one that this GitLab accepts for
// this job (runner-api sheet, section 8.3).
func Reason(reason string, accepted []string) string {
	switch {
	case reason == "":
		return "script_failure"
	case slices.Contains(accepted, reason):
		return reason
	}
	switch reason {
	case "script_failure", "runner_system_failure", "job_execution_timeout":
		return reason
	case "runner_configuration_error":
		return "script_failure"
	case "runner_external_dependency_failure", "image_pull_failure":
		return "runner_system_failure"
	}
	return "unknown_failure"
}
