package towline

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// phase is how far an object is.
type phase int

const (
	waiting phase = iota + 1
	ready
	failed
)

// state is a phase with the reason in words.
type state struct {
	phase phase
	why   string
}

func notYet(format string, args ...any) state { return state{waiting, fmt.Sprintf(format, args...)} }

// judge says how far an object is rolled out. The rules are those of `kubectl
// rollout status` where it has some.
func judge(u *unstructured.Unstructured) state {
	if u.GetDeletionTimestamp() != nil {
		return notYet("is being deleted")
	}
	observed, found, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	if found && observed < u.GetGeneration() {
		return notYet("its controller has not seen the latest change")
	}
	switch u.GroupVersionKind().GroupKind().String() {
	case "Deployment.apps":
		return typed(u, deployment)
	case "StatefulSet.apps":
		return typed(u, statefulSet)
	case "DaemonSet.apps":
		return typed(u, daemonSet)
	case "ReplicaSet.apps":
		return typed(u, replicaSet)
	case "Job.batch":
		return typed(u, job)
	case "Pod":
		return typed(u, pod)
	case "PersistentVolumeClaim":
		return typed(u, claim)
	case "Service":
		return typed(u, service)
	case "CustomResourceDefinition.apiextensions.k8s.io":
		return conditioned(u, "Established", "NamesAccepted", "is not established")
	case "APIService.apiregistration.k8s.io":
		return conditioned(u, "Available", "", "is not available")
	}
	return other(u)
}

func typed[T any](u *unstructured.Unstructured, rule func(*T) state) state {
	var object T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &object); err != nil {
		return notYet("its status cannot be read: %v", err)
	}
	return rule(&object)
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

func deployment(d *appsv1.Deployment) state {
	want := replicas(d.Spec.Replicas)
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			return state{failed, "exceeded its progress deadline"}
		}
	}
	switch s := d.Status; {
	case s.ObservedGeneration == 0:
		return notYet("its controller has not seen it")
	case s.UpdatedReplicas < want:
		return notYet("%d of %d new replicas have been updated", s.UpdatedReplicas, want)
	case s.Replicas > s.UpdatedReplicas:
		return notYet("%d old replicas are pending termination", s.Replicas-s.UpdatedReplicas)
	case s.AvailableReplicas < s.UpdatedReplicas:
		return notYet("%d of %d updated replicas are available", s.AvailableReplicas, s.UpdatedReplicas)
	}
	return state{ready, fmt.Sprintf("%d replicas are available", want)}
}

func statefulSet(s *appsv1.StatefulSet) state {
	want := replicas(s.Spec.Replicas)
	updated := want
	if s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		updated = 0
	} else if r := s.Spec.UpdateStrategy.RollingUpdate; r != nil && r.Partition != nil {
		updated = max(0, want-*r.Partition)
	}
	switch {
	case s.Status.ObservedGeneration == 0:
		return notYet("its controller has not seen it")
	case s.Status.ReadyReplicas < want:
		return notYet("%d of %d replicas are ready", s.Status.ReadyReplicas, want)
	case s.Status.CurrentRevision != s.Status.UpdateRevision && s.Status.UpdatedReplicas < updated:
		return notYet("%d of %d replicas have been updated", s.Status.UpdatedReplicas, updated)
	}
	return state{ready, fmt.Sprintf("%d replicas are ready", want)}
}

func daemonSet(d *appsv1.DaemonSet) state {
	want := d.Status.DesiredNumberScheduled
	switch {
	case d.Status.ObservedGeneration == 0:
		return notYet("its controller has not seen it")
	case d.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType && d.Status.UpdatedNumberScheduled < want:
		return notYet("%d of %d pods have been updated", d.Status.UpdatedNumberScheduled, want)
	case d.Status.NumberAvailable < want:
		return notYet("%d of %d pods are available", d.Status.NumberAvailable, want)
	}
	return state{ready, fmt.Sprintf("%d pods are available", want)}
}

func replicaSet(r *appsv1.ReplicaSet) state {
	if want := replicas(r.Spec.Replicas); r.Status.ObservedGeneration == 0 || r.Status.ReadyReplicas < want {
		return notYet("%d of %d replicas are ready", r.Status.ReadyReplicas, want)
	}
	return state{ready, fmt.Sprintf("%d replicas are ready", r.Status.ReadyReplicas)}
}

func job(j *batchv1.Job) state {
	for _, c := range j.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobComplete:
			return state{ready, "has completed"}
		case c.Type == batchv1.JobFailed:
			return state{failed, "has failed: " + c.Reason + ": " + c.Message}
		case c.Type == batchv1.JobSuspended:
			return notYet("is suspended")
		}
	}
	return notYet("%d active, %d succeeded, %d failed", j.Status.Active, j.Status.Succeeded, j.Status.Failed)
}

func pod(p *corev1.Pod) state {
	switch p.Status.Phase {
	case corev1.PodSucceeded:
		return state{ready, "has completed"}
	case corev1.PodFailed:
		return state{failed, "has failed: " + p.Status.Reason + " " + p.Status.Message}
	case corev1.PodPending, corev1.PodRunning, corev1.PodUnknown:
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return state{ready, "is ready"}
		}
	}
	if why := podProblem(p); why != "" {
		return notYet("%s", why)
	}
	return notYet("is not ready")
}

func claim(c *corev1.PersistentVolumeClaim) state {
	switch c.Status.Phase {
	case corev1.ClaimBound:
		return state{ready, "is bound"}
	case corev1.ClaimLost:
		return state{failed, "has lost its volume"}
	case corev1.ClaimPending:
	}
	return notYet("is not bound")
}

func service(s *corev1.Service) state {
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer && len(s.Status.LoadBalancer.Ingress) == 0 {
		return notYet("has no address of its load balancer")
	}
	return state{ready, "is there"}
}

// conditioned waits for one condition and takes another one being false for a
// failure.
func conditioned(u *unstructured.Unstructured, want, never, not string) state {
	conditions := conditionsOf(u)
	switch c := conditions[want]; {
	case c.status == "True":
		return state{ready, "is " + lowerFirst(want)}
	case conditions[never].status == "False":
		return state{failed, conditions[never].message}
	case c.message != "":
		return notYet("%s: %s", not, c.message)
	}
	return notYet("%s", not)
}

// other follows the habits of controllers: Ready says it, Stalled gives up, and
// an object without such conditions is there as soon as it is there.
func other(u *unstructured.Unstructured) state {
	conditions := conditionsOf(u)
	if c := conditions["Stalled"]; c.status == "True" {
		return state{failed, "is stalled: " + c.message}
	}
	if c, ok := conditions["Ready"]; ok && c.status != "True" {
		return notYet("is not ready: %s", c.message)
	}
	if _, ok := conditions["Ready"]; ok {
		return state{ready, "is ready"}
	}
	return state{ready, "is there"}
}

type condition struct{ status, message string }

func conditionsOf(u *unstructured.Unstructured) map[string]condition {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	out := map[string]condition{}
	for _, item := range list {
		c, ok := item.(map[string]any)
		if !ok {
			continue
		}
		kind, _ := c["type"].(string)
		status, _ := c["status"].(string)
		message, _ := c["message"].(string)
		out[kind] = condition{status, message}
	}
	return out
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return string(s[0]|0x20) + s[1:]
}
