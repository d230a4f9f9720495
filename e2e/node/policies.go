//go:build linux

package node

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"

	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	policiesName = "kube-network-policies"
	// accountDir is where a pod finds the account that it runs as.
	accountDir = "/run/secrets/kubernetes.io/serviceaccount"
)

// policyQueue is where the kernel asks about packets.
const policyQueue = "100"

// policyRules hand the first packet of each connection of a pod to the queue, on
// its way to another pod or to this machine. The program has such rules of its
// own, in words of nftables that not every kernel knows.
var policyRules = [][]string{
	{"POSTROUTING", "-m", "conntrack", "--ctstate", "NEW", "-s", podRange, "-m", "addrtype", "!", "--src-type", "LOCAL", "-j", "NFQUEUE", "--queue-num", policyQueue},
	{"INPUT", "-m", "conntrack", "--ctstate", "NEW", "-s", podRange, "-j", "NFQUEUE", "--queue-num", policyQueue},
}

// startPolicies starts what enforces NetworkPolicies. The program knows how to
// run in a pod only; here it finds what it would find there.
func (n *Node) startPolicies(ctx context.Context, program string) error {
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods", "namespaces"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{networkingv1.GroupName}, Resources: []string{"networkpolicies"}, Verbs: []string{"list", "watch"}},
	}
	meta := metav1.ObjectMeta{Name: policiesName}
	_, err1 := n.kube.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	_, err2 := n.kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: policiesName},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: policiesName, Namespace: metav1.NamespaceSystem}},
	}, metav1.CreateOptions{})
	token, err3 := n.cluster.ServiceAccountToken(ctx, metav1.NamespaceSystem, policiesName)
	cfg, err4 := n.cluster.RESTConfig()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	if err := rest.LoadTLSFiles(cfg); err != nil {
		return err
	}
	if err := os.MkdirAll(accountDir, 0o700); err != nil {
		return err
	}
	for name, content := range map[string][]byte{"token": []byte(token), "ca.crt": cfg.CAData} {
		if err := os.WriteFile(filepath.Join(accountDir, name), content, 0o600); err != nil {
			return err
		}
	}
	host, port, err := net.SplitHostPort(n.api)
	if err != nil {
		return err
	}
	d, err := launch(n.dir, []string{"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port}, program,
		"--hostname-override="+nodeName, "--metrics-bind-address=127.0.0.1:9080", "--nfqueue-id="+policyQueue)
	if err != nil {
		return err
	}
	n.undo = append(n.undo, d.stop)
	for _, rule := range policyRules {
		if err := command(ctx, "iptables", append([]string{"-w", "-t", "mangle", "-A"}, rule...)...); err != nil {
			return err
		}
	}
	return nil
}
