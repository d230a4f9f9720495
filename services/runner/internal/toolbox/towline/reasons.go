package towline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Limits of an explanation.
const (
	maxPods    = 100 // asked for
	maxReasons = 5   // shown
	maxMessage = 300 // bytes of one reason
)

// reasons asks the cluster why an object is not ready. What it may not see is
// left out.
func reasons(ctx context.Context, client core.CoreV1Interface, u *unstructured.Unstructured) []string {
	if u == nil || u.GetNamespace() == "" {
		return nil
	}
	var out []string
	add := func(text string) {
		text = strings.ToValidUTF8(text[:min(len(text), maxMessage)], "")
		if !slices.Contains(out, text) && len(out) < maxReasons {
			out = append(out, text)
		}
	}
	if selector := podSelector(u); selector != "" {
		pods, err := client.Pods(u.GetNamespace()).List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: maxPods})
		for i := range podsOf(pods, err) {
			if why := podProblem(&pods.Items[i]); why != "" {
				add(fmt.Sprintf("pod %s: %s", pods.Items[i].Name, why))
			}
		}
	}
	events, err := client.Events(u.GetNamespace()).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.uid=" + string(u.GetUID()) + ",type=Warning", Limit: maxPods,
	})
	if err == nil {
		for i := len(events.Items) - 1; i >= 0; i-- {
			add(fmt.Sprintf("event %s: %s", events.Items[i].Reason, events.Items[i].Message))
		}
	}
	return out
}

func podsOf(pods *corev1.PodList, err error) []corev1.Pod {
	if err != nil {
		return nil
	}
	return pods.Items
}

// podSelector selects the pods of a workload.
func podSelector(u *unstructured.Unstructured) string {
	var selector metav1.LabelSelector
	labels, _, _ := unstructured.NestedStringMap(u.Object, "spec", "selector", "matchLabels")
	selector.MatchLabels = labels
	if len(labels) == 0 {
		return ""
	}
	return metav1.FormatLabelSelector(&selector)
}

// podProblem is what keeps a pod from being ready, "" if nothing is known.
func podProblem(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return strings.TrimSpace(c.Reason + ": " + c.Message)
		}
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		switch s := c.State; {
		case s.Waiting != nil && s.Waiting.Reason != "ContainerCreating" && s.Waiting.Reason != "PodInitializing":
			return strings.TrimSuffix(fmt.Sprintf("container %s: %s: %s", c.Name, s.Waiting.Reason, s.Waiting.Message), ": ")
		case s.Terminated != nil && s.Terminated.ExitCode != 0:
			return strings.TrimSuffix(fmt.Sprintf("container %s exited with %d: %s", c.Name, s.Terminated.ExitCode, s.Terminated.Reason), ": ")
		case s.Running != nil && !c.Ready:
			return fmt.Sprintf("container %s is running but not ready", c.Name)
		}
	}
	return ""
}
