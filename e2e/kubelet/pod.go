package kubelet

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pod is one that runs here.
type Pod struct {
	Namespace, Name string
	Labels          map[string]string
	Containers      []*Container
	// Ports says at which address of this machine a port of the Pod is found.
	Ports map[int32]string
}

func (p *Pod) stop() {
	for _, c := range p.Containers {
		c.Stop()
	}
}

// Run creates a Pod on the Node and reports it as running and ready. The
// containers are ready for commands when it returns.
func (k *Kubelet) Run(ctx context.Context, p *Pod) error {
	k.mu.Lock()
	k.pods[p.Namespace+"/"+p.Name] = p
	k.mu.Unlock()
	object := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace, Labels: p.Labels},
		Spec:       corev1.PodSpec{NodeName: k.node},
	}
	now := metav1.Now()
	status := corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", StartTime: &now}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	started := true
	for _, c := range p.Containers {
		c.start()
		object.Spec.Containers = append(object.Spec.Containers, corev1.Container{Name: c.Name, Image: "registry.invalid/stand-in:1", Stdin: true})
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: "registry.invalid/stand-in:1", Ready: true, Started: &started,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
	pods := k.client.CoreV1().Pods(p.Namespace)
	created, err := pods.Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("pod %s: %w", p.Name, err)
	}
	created.Status, created.ResourceVersion = status, "" // controllers write to it as well
	if _, err := pods.UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("pod %s: %w", p.Name, err)
	}
	return nil
}
