//go:build linux && node

package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/towline/towline/e2e/node"
)

// keepOut looks what NetworkPolicies let through: nothing of a pod that is
// nobody's, in the release's own namespace, and of one that is the release's what
// it needs. That those who belong there get through, all other steps show.
func keepOut(s *site) {
	r := s.r
	dns := r.clusterDNS() + " 53" // reached, or the pod has no network at all
	at := func(service string, port int) string {
		pods := r.pods(service)
		if len(pods) == 0 {
			r.t.Fatalf("%s has no pods", service)
		}
		return fmt.Sprintf("%s %d", pods[0].Status.PodIP, port)
	}
	redis, policy, runner := at("redis", 6379), at("policy", 8081), at("runner", 8083)
	health, egress := at("tunnel", 8080), at("tunnel", 8082)
	gitlab := strings.Replace(strings.TrimPrefix(s.gitlab.URL(), "http://"), ":", " ", 1)
	r.reaches("stranger", nil, []string{dns, gitlab}, []string{redis, policy, runner, health, egress})
	check := map[string]string{
		"app.kubernetes.io/name": "towline", "app.kubernetes.io/instance": releaseName, "app.kubernetes.io/component": "selfcheck",
	}
	r.reaches("friend", check, []string{dns, redis, policy, health, egress}, []string{runner, gitlab})
}

// reaches tries addresses from a pod, all at once. Rules hold a moment after the
// pod has started, so each address has some time to show what it is.
func (r *release) reaches(name string, labels map[string]string, open, closed []string) {
	r.t.Helper()
	const try = "{ n=0; said=%[3]s; %[2]s busybox nc -w 3 %[1]s </dev/null >/dev/null 2>&1; do " +
		"n=$((n+1)); if busybox test $n -ge 30; then said=not-%[3]s; break; fi; sleep 1; done; echo $said %[1]s; } &\n"
	var script strings.Builder
	var want []string
	for _, target := range open {
		fmt.Fprintf(&script, try, target, "until", "open")
		want = append(want, "open "+target)
	}
	for _, target := range closed {
		fmt.Fprintf(&script, try, target, "while", "closed")
		want = append(want, "closed "+target)
	}
	slices.Sort(want)
	said := strings.Split(strings.TrimSpace(r.run(name, labels, script.String()+"wait\n")), "\n")
	slices.Sort(said)
	if diff := cmp.Diff(want, said); diff != "" {
		r.t.Errorf("what the pod %s finds (-want +got):\n%s", name, diff)
	}
}

// clusterDNS is the address of a pod that everybody may reach.
func (r *release) clusterDNS() string {
	r.t.Helper()
	l, err := r.kube.CoreV1().Pods(metav1.NamespaceSystem).List(r.t.Context(), metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
	r.must(err)
	if len(l.Items) == 0 {
		r.t.Fatal("the cluster has no name service")
	}
	return l.Items[0].Status.PodIP
}

// run runs a script in a pod of its own and returns what it says.
func (r *release) run(name string, labels map[string]string, script string) string {
	r.t.Helper()
	pods := r.kube.CoreV1().Pods(namespace)
	_, err := pods.Create(r.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: ptr.To(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To(int64(65532)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: name, Image: node.RedisRepository + ":" + node.RedisTag, ImagePullPolicy: corev1.PullNever, Command: []string{"sh", "-c", script},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}, metav1.CreateOptions{})
	r.must(err)
	r.eventually(rolledWithin, func(ctx context.Context) error {
		p, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err == nil && p.Status.Phase != corev1.PodSucceeded {
			err = fmt.Errorf("pod %s is %s", name, p.Status.Phase)
		}
		return err
	})
	said, err := pods.GetLogs(name, &corev1.PodLogOptions{}).DoRaw(r.t.Context())
	r.must(err)
	r.must(pods.Delete(r.t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}))
	return string(said)
}
