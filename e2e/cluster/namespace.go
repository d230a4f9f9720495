package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	namespaceTimeout = 30 * time.Second
	pollEvery        = 20 * time.Millisecond
)

// Namespace makes a namespace for one test, named after it, waits until pods
// could be created in it, and asks for its deletion when the test ends without
// waiting for that.
func (c *Cluster) Namespace(tb testing.TB) string {
	tb.Helper()
	client, err := c.client()
	if err != nil {
		tb.Fatalf("namespace: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), namespaceTimeout)
	defer cancel()
	wanted := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: namespacePrefix(tb.Name())}}
	made, err := client.CoreV1().Namespaces().Create(ctx, wanted, metav1.CreateOptions{})
	if err != nil {
		tb.Fatalf("namespace %s: %v", wanted.GenerateName, err)
	}
	tb.Cleanup(func() { deleteNamespace(tb, client, made.Name) })
	if err := waitForServiceAccount(ctx, client, made.Name); err != nil {
		tb.Fatalf("namespace %s: %v", made.Name, err)
	}
	return made.Name
}

// namespacePrefix turns a test's name into the beginning of a namespace's name.
func namespacePrefix(test string) string {
	const longest = 40 // leaves room for the server's suffix, and for readers
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(test))
	name = strings.Trim(name, "-")
	name = strings.TrimRight(name[:min(len(name), longest)], "-")
	if name == "" {
		name = "test"
	}
	return name + "-"
}

func waitForServiceAccount(ctx context.Context, client kubernetes.Interface, namespace string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		_, err := client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no default ServiceAccount: %w", err)
		case <-tick.C:
		}
	}
}

func deleteNamespace(tb testing.TB, client kubernetes.Interface, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), namespaceTimeout)
	defer cancel()
	err := client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		tb.Logf("delete namespace %s: %v", name, err)
	}
}

// ServiceAccountToken returns a token for a ServiceAccount, valid for an hour,
// and makes the namespace and the ServiceAccount when they do not exist. Without
// audiences the token is for the API server.
func (c *Cluster) ServiceAccountToken(ctx context.Context, namespace, name string, audiences ...string) (string, error) {
	client, err := c.client()
	if err != nil {
		return "", err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	_, err = client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("namespace %s: %w", namespace, err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err = client.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("ServiceAccount %s/%s: %w", namespace, name, err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	answer, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("token for ServiceAccount %s/%s: %w", namespace, name, err)
	}
	return answer.Status.Token, nil
}
