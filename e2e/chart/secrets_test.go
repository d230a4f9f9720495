package chart

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/pkg/seal"
)

func TestMadeKeysAreTheOnesTheServicesRead(t *testing.T) {
	r := render(t, minimal)
	block, rest := pem.Decode(find[corev1.Secret](t, r, "Secret/towline-signing").Data["0001.pem"])
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) > 0 {
		t.Fatal("the signing key is not one PKCS#8 PEM block")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if _, ok := key.(ed25519.PrivateKey); err != nil || !ok {
		t.Errorf("the signing key is a %T, error %v", key, err)
	}
	file := filepath.Join(t.TempDir(), "seal.key")
	if err := os.WriteFile(file, find[corev1.Secret](t, r, "Secret/towline-seal").Data["seal.key"], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Load(file); err != nil {
		t.Error(err)
	}
	if cmp.Equal(find[corev1.Secret](t, r, "Secret/towline-seal").Data, find[corev1.Secret](t, render(t, minimal), "Secret/towline-seal").Data) {
		t.Error("two installations have the same key")
	}
}

// Each service sees the secrets it needs and no other.
func TestWhoSeesWhichSecret(t *testing.T) {
	want := map[string][]string{
		"tunnel": {"Secret/gitlab-acme/infra", "Secret/gitlab-acme/token", "Secret/gitlab/config", "Secret/gitlab/gitops", "Secret/gitlab/runner", "Secret/keys/seal", "Secret/redis/address"},
		"policy": {"Secret/keys/sign"},
		"runner": {"Secret/keys/seal", "Secret/redis/address"},
	}
	r := render(t, combinations["everything-brought-along"])
	for _, s := range services {
		pod := deployment(t, r, s).Spec.Template.Spec
		var got []string
		for _, v := range pod.Volumes {
			if v.Secret != nil && v.Name != "tls" {
				for _, item := range v.Secret.Items {
					got = append(got, "Secret/"+v.Secret.SecretName+"/"+item.Key)
				}
			}
		}
		for _, v := range pod.Volumes {
			if v.Projected == nil {
				continue
			}
			for _, source := range v.Projected.Sources {
				if source.Secret == nil {
					continue
				}
				for _, item := range source.Secret.Items {
					got = append(got, "Secret/"+source.Secret.Name+"/"+item.Key)
				}
			}
		}
		for _, e := range pod.Containers[0].Env {
			if e.ValueFrom == nil {
				continue // a value of no secret
			}
			got = append(got, "Secret/"+e.ValueFrom.SecretKeyRef.Name+"/"+e.ValueFrom.SecretKeyRef.Key)
		}
		slices.Sort(got)
		if diff := cmp.Diff(want[s], got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s, diff)
		}
		if calls := s != "tunnel"; *pod.AutomountServiceAccountToken != calls {
			t.Errorf("%s has a token for the Kubernetes API: %t, want %t", s, !calls, calls)
		}
	}
	if slices.ContainsFunc([]string{"Secret/towline-seal", "Secret/towline-signing", "Secret/towline-credentials", "Secret/towline-redis"}, r.has) {
		t.Error("a Secret is made although all are given")
	}
}

func TestGivenValuesAreInSecretsOnly(t *testing.T) {
	r := render(t, combinations["values-instead-of-secrets"])
	if got := string(find[corev1.Secret](t, r, "Secret/towline-credentials").Data["runner-token"]); got != "glrt-abc" {
		t.Errorf("the runner token is %q", got)
	}
	if got := string(find[corev1.Secret](t, r, "Secret/towline-redis").Data["url"]); got != "rediss://user:p%40ss@redis.internal:6390/2" {
		t.Errorf("the address of Redis is %q", got)
	}
	for _, o := range r.objects {
		text, _ := yaml.Marshal(o.Object)
		for _, secret := range []string{"glrt-abc", "glpat-abc", "p%40ss"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s shows %s", id(o), secret)
			}
		}
	}
}

func TestPodsRestartForAnotherRedis(t *testing.T) {
	at := func(url string) map[string]string {
		r := render(t, minimal+"---\nredis: {external: {url: '"+url+"'}}\n")
		return deployment(t, r, "tunnel").Spec.Template.Annotations
	}
	if a := at("redis://a"); cmp.Equal(a, at("redis://b")) || !cmp.Equal(a, at("redis://a")) {
		t.Errorf("annotations: %v", a)
	}
}
