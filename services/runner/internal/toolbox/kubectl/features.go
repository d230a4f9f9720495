package kubectl

import "os"

// featureVariables switch features of upstream, which reads them from the
// environment of the process.
var featureVariables = []string{"KUBECTL_APPLYSET", "KUBECTL_REMOTE_COMMAND_WEBSOCKETS"}

// adoptFeatures carries the shell's switches into the process's environment,
// where they stay until another command has them different: a job that uses
// them exports them once.
func (c *command) adoptFeatures() {
	for _, name := range featureVariables {
		if value, ok := c.inv.Getenv(name); ok {
			_ = os.Setenv(name, value)
		} else if os.Getenv(name) != "" {
			_ = os.Unsetenv(name)
		}
	}
}
