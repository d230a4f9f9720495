//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const (
	dnsName      = "coredns"
	storageClass = "local"
	// volumes is how many claims can be bound.
	volumes    = 4
	volumeSize = "1Gi"
)

// forwardAPI gives the API server, which listens on loopback only, an address
// that pods can reach, and says so in the cluster.
func (n *Node) forwardAPI(ctx context.Context) error {
	l, err := net.Listen("tcp", net.JoinHostPort(nodeAddress, apiPort))
	if err != nil {
		return err
	}
	n.undo = append(n.undo, func() { _ = l.Close() })
	go forward(l, n.api)
	port, err := strconv.ParseInt(apiPort, 10, 32)
	if err != nil {
		return err
	}
	_, err = n.kube.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "kubernetes", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{nodeAddress}}},
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: ptr.To(int32(port))}},
	}, metav1.CreateOptions{})
	return err
}

// corefile answers for the cluster and for nothing else: nothing leaves it.
const corefile = `.:53 {
    errors
    ready
    kubernetes ` + clusterDomain + ` in-addr.arpa
    cache 10
}
`

// startDNS makes the objects of the cluster's name service.
func (n *Node) startDNS(ctx context.Context) error {
	meta := metav1.ObjectMeta{Name: dnsName, Namespace: metav1.NamespaceSystem}
	labels := map[string]string{"k8s-app": "kube-dns"}
	core := n.kube.CoreV1()
	_, err1 := core.ServiceAccounts(meta.Namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	_, err2 := core.ConfigMaps(meta.Namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"Corefile": corefile}}, metav1.CreateOptions{})
	service := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{ClusterIP: dnsAddress, Selector: labels, Ports: []corev1.ServicePort{
		{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP},
	}}}
	service.Name = "kube-dns"
	_, err3 := core.Services(meta.Namespace).Create(ctx, service, metav1.CreateOptions{})
	_, err4 := n.kube.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: dnsName}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"endpoints", "services", "pods", "namespaces"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{discoveryv1.GroupName}, Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"}},
	}}, metav1.CreateOptions{})
	_, err5 := n.kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: dnsName},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: dnsName},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: dnsName, Namespace: meta.Namespace}},
	}, metav1.CreateOptions{})
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
		ServiceAccountName: dnsName, DNSPolicy: corev1.DNSDefault,
		Containers: []corev1.Container{{
			Name: dnsName, Image: dnsImage, ImagePullPolicy: corev1.PullNever, Args: []string{"-conf", "/etc/coredns/Corefile"},
			VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/coredns"}},
		}},
		Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: dnsName}},
		}}},
	}}
	_, err6 := n.kube.AppsV1().Deployments(meta.Namespace).Create(ctx, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: pod,
	}}, metav1.CreateOptions{})
	return errors.Join(err1, err2, err3, err4, err5, err6)
}

// dnsReady says whether names are answered.
func (n *Node) dnsReady(ctx context.Context) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(dnsAddress, "53"))
	}}
	ctx, cancel := context.WithTimeout(ctx, dnsWithin)
	defer cancel()
	_, err := resolver.LookupHost(ctx, "kubernetes.default.svc."+clusterDomain+".")
	return err
}

// makeVolumes makes directories of the node that claims of the default class are
// bound to.
func (n *Node) makeVolumes(ctx context.Context) error {
	wait := storagev1.VolumeBindingWaitForFirstConsumer
	_, err := n.kube.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: storageClass, Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner: "kubernetes.io/no-provisioner", VolumeBindingMode: &wait,
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	for i := range volumes {
		name := fmt.Sprintf("volume%d", i)
		if err := os.MkdirAll(n.file(name), 0o755); err != nil {
			return err
		}
		_, err := n.kube.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(volumeSize)},
				AccessModes:            []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				StorageClassName:       storageClass,
				PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: n.file(name)}},
				NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{nodeName}}},
				}}}},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
	}
	return nil
}
