package rig

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/towline/towline/e2e/cluster"
)

// Access is a right that the cluster's owner gives to a group of jobs.
type Access struct {
	Group     string // for example gitlab:project_env:42:production
	Namespace string
	Role      string // a ClusterRole such as edit
}

// grantRights creates what the chart creates: policy may review tokens, the
// runner may impersonate CI jobs, and nobody else may do anything.
func (r *Rig) grantRights(ctx context.Context) error {
	cfg, err := r.opts.Cluster.RESTConfig()
	if err != nil {
		return err
	}
	k, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.Namespace}}
	if _, err := k.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	r.undo = append(r.undo, func(ctx context.Context) error {
		return k.CoreV1().Namespaces().Delete(ctx, r.Namespace, metav1.DeleteOptions{})
	})
	impersonate := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: r.Namespace + ":impersonate"}, Rules: []rbacv1.PolicyRule{
		{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users", "groups"}},
		{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{"towline-agent"}},
		{Verbs: []string{"impersonate"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"uids"}},
	}}
	// Extras are sub-resources, one per key; RBAC knows no "userextras/*".
	for _, key := range []string{"id", "config_project_id", "project_id", "ci_pipeline_id", "ci_job_id", "username", "environment_slug", "environment_tier"} {
		impersonate.Rules[2].Resources = append(impersonate.Rules[2].Resources, "userextras/agent.gitlab.com/"+key)
	}
	if _, err := k.RbacV1().ClusterRoles().Create(ctx, impersonate, metav1.CreateOptions{}); err != nil {
		return err
	}
	r.undo = append(r.undo, func(ctx context.Context) error {
		return k.RbacV1().ClusterRoles().Delete(ctx, impersonate.Name, metav1.DeleteOptions{})
	})
	if err := r.bindCluster(ctx, k, "runner", "towline-runner", impersonate.Name); err != nil {
		return err
	}
	return r.bindCluster(ctx, k, "policy", "towline-policy", "system:auth-delegator")
}

func (r *Rig) bindCluster(ctx context.Context, k kubernetes.Interface, name, account, role string) error {
	b := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: r.Namespace + ":" + name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: r.Namespace, Name: account}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	}
	if _, err := k.RbacV1().ClusterRoleBindings().Create(ctx, b, metav1.CreateOptions{}); err != nil {
		return err
	}
	r.undo = append(r.undo, func(ctx context.Context) error {
		return k.RbacV1().ClusterRoleBindings().Delete(ctx, b.Name, metav1.DeleteOptions{})
	})
	return nil
}

// Allow gives a group of jobs a role in a namespace.
func Allow(ctx context.Context, c *cluster.Cluster, a Access) error {
	cfg, err := c.RESTConfig()
	if err != nil {
		return err
	}
	k, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	b := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "towline-" + a.Role + "-", Namespace: a.Namespace},
		Subjects:   []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: a.Group}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: a.Role},
	}
	if _, err := k.RbacV1().RoleBindings(a.Namespace).Create(ctx, b, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("allow %s to %s in %s: %w", a.Group, a.Role, a.Namespace, err)
	}
	return nil
}
