package job

import (
	"strings"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/pkg/jobspec"
)

// kubeconfigName is the variable by which kubectl and helm find a cluster, and
// the file that it names.
const kubeconfigName = "KUBECONFIG"

// errForeignKubeconfig: the job names another cluster than the one it would act
// on here, where a failed job is better than the wrong cluster.
var errForeignKubeconfig = &configError{"the variable KUBECONFIG holds a kubeconfig of your own, and jobs of this runner act on the agent's cluster alone: nothing was run, " +
	"for it would have changed that cluster and not the one in the file. Remove the variable, override it with an empty value for this project or environment, " +
	"or give the job to a runner that reaches the other cluster"}

// clusterVariable is the KUBECONFIG that counts in a job's own list, and whether
// there is one: GitLab's, or one that a person has written. An empty one is none.
func clusterVariable(list jobspec.Variables) (v jobspec.Variable, set bool) {
	for _, e := range list {
		if e.Key == kubeconfigName {
			v = e
		}
	}
	return v, v.Value != ""
}

// clusterPath is the KUBECONFIG of a job that names a file which its script
// makes, as GitLab would hand it over.
func clusterPath(list jobspec.Variables) (v jobspec.Variable, ok bool) {
	v, set := clusterVariable(list)
	return v, set && !v.File
}

// checkKubeconfig refuses a job with a cluster of its own, and says so of one
// that will name it by itself.
func (r *run) checkKubeconfig() error {
	v, set := clusterVariable(r.spec.Job.Variables)
	switch {
	case !set || v.File && fromAgents(v.Value):
		return nil
	case v.File:
		return errForeignKubeconfig
	}
	r.log.warn("KUBECONFIG is set by the job's variables: kubectl and helm read the file that it names and not the agent's; no other cluster than the agent's can be reached")
	return nil
}

// fromAgents tells the kubeconfig that GitLab makes of the agents that a job may
// use: their users' tokens begin in one way, and no context is current. (One is
// where GitLab has merged a cluster into it that is connected by certificate.)
func fromAgents(text string) bool {
	cfg, err := clientcmd.Load([]byte(text))
	if err != nil || cfg.CurrentContext != "" || len(cfg.AuthInfos) == 0 {
		return false
	}
	for _, user := range cfg.AuthInfos {
		if !strings.HasPrefix(user.Token, "ci:") {
			return false
		}
	}
	return true
}
