package kubectl

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"sort"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/cmd/logs"
	"k8s.io/kubectl/pkg/cmd/util/podcmd"
	"k8s.io/kubectl/pkg/polymorphichelpers"
	"k8s.io/kubectl/pkg/util/podutils"
)

// logsCommand is upstream's, except that the choice of a pod and a container is
// reported in the command's standard error and not in that of the process.
func logsCommand(c *command, f factory) *cobra.Command {
	o := logs.NewLogsOptions(c.streams)
	cmd := logs.NewCmdLogs(f, c.streams)
	cmd.ResetFlags()
	o.AddFlags(cmd)
	cmd.Run = nil
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.Complete(f, cmd, args); err != nil {
			return err
		}
		o.LogsForObject = c.logRequests(o.LogsForObject)
		if err := o.Validate(); err != nil {
			return err
		}
		return o.RunLogsContext(cmd.Context())
	}
	return cmd
}

// logRequests makes the choices that upstream would make and report elsewhere.
func (c *command) logRequests(upstream polymorphichelpers.LogsForObjectFunc) polymorphichelpers.LogsForObjectFunc {
	return func(getter genericclioptions.RESTClientGetter, object, options runtime.Object, timeout time.Duration, all bool) (map[corev1.ObjectReference]rest.ResponseWrapper, error) {
		opts, ok := options.(*corev1.PodLogOptions)
		if !ok {
			return nil, errors.New("provided options object is not a PodLogOptions")
		}
		pods, err := c.logPods(getter, object, timeout)
		if err != nil {
			return nil, err
		}
		requests := map[corev1.ObjectReference]rest.ResponseWrapper{}
		for _, pod := range pods {
			of, err := upstream(getter, pod, c.logContainer(pod, opts, all), timeout, all)
			if err != nil {
				return nil, err
			}
			maps.Copy(requests, of)
		}
		return requests, nil
	}
}

// logPods are the pods that an object stands for: one of a workload's.
func (c *command) logPods(getter genericclioptions.RESTClientGetter, object runtime.Object, timeout time.Duration) ([]*corev1.Pod, error) {
	switch t := object.(type) {
	case *corev1.Pod:
		return []*corev1.Pod{t}, nil
	case *corev1.PodList:
		pods := make([]*corev1.Pod, len(t.Items))
		for i := range t.Items {
			pods[i] = &t.Items[i]
		}
		return pods, nil
	}
	pod, err := c.logPod(getter, object, timeout)
	return []*corev1.Pod{pod}, err
}

// logPod is the pod of a workload whose log is shown.
func (c *command) logPod(getter genericclioptions.RESTClientGetter, object runtime.Object, timeout time.Duration) (*corev1.Pod, error) {
	cfg, err := getter.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	clients, err := corev1client.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	namespace, selector, err := polymorphichelpers.SelectorsForObject(object)
	if err != nil {
		return nil, fmt.Errorf("cannot get the logs from %T: %w", object, err)
	}
	order := func(pods []*corev1.Pod) sort.Interface { return podutils.ByLogging(pods) }
	pod, found, err := polymorphichelpers.GetFirstPod(clients, namespace, selector.String(), timeout, order)
	if err == nil && found > 1 {
		fmt.Fprintf(c.streams.ErrOut, "Found %v pods, using pod/%v\n", found, pod.Name)
	}
	return pod, err
}

// logContainer names the container whose log is shown, so that upstream has
// nothing left to choose.
func (c *command) logContainer(pod *corev1.Pod, opts *corev1.PodLogOptions, all bool) *corev1.PodLogOptions {
	if all || opts.Container != "" || len(pod.Spec.Containers) == 0 {
		return opts
	}
	chosen := opts.DeepCopy()
	wanted := pod.Annotations[podcmd.DefaultContainerAnnotationName]
	if found, _ := podcmd.FindContainerByName(pod, wanted); wanted != "" && found == nil {
		fmt.Fprintf(c.streams.ErrOut, "Default container name %q not found in pod %s\n", wanted, pod.Name)
		wanted = ""
	}
	chosen.Container = cmp.Or(wanted, pod.Spec.Containers[0].Name)
	if wanted == "" && len(pod.Spec.Containers)+len(pod.Spec.InitContainers)+len(pod.Spec.EphemeralContainers) > 1 {
		fmt.Fprintf(c.streams.ErrOut, "Defaulted container %q out of: %s\n", chosen.Container, podcmd.AllContainerNames(pod))
	}
	return chosen
}
