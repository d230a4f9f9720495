package chart

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/pkg/seal"
)

// servers are whom others speak TLS to.
var servers = []string{"policy", "redis", "tunnel"}

// trusts says whether the bundle of one rendering accepts a server of another,
// by the name that it is reached by.
func trusts(t *testing.T, client, server rendered, name, namespace string) error {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(find[corev1.ConfigMap](t, client, "ConfigMap/towline-ca").Data["ca.crt"])) {
		t.Fatal("the bundle holds no certificate")
	}
	secret := find[corev1.Secret](t, server, "Secret/towline-tls-"+name).Data
	pair, err := tls.X509KeyPair(secret["tls.crt"], secret["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "towline-" + name + "." + namespace + ".svc"})
	return err
}

func TestServicesTrustEachOther(t *testing.T) {
	r := render(t, combinations["minimal"])
	for _, s := range servers {
		if err := trusts(t, r, r, s, "towline"); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		if err := trusts(t, render(t, combinations["minimal"]), r, s, "towline"); err == nil {
			t.Errorf("another release trusts %s", s)
		}
	}
	// The authority's key is for Helm alone.
	for component, p := range pods(t, r) {
		if slices.Contains(references(p.Spec), "Secret/towline-ca") {
			t.Errorf("%s sees the authority's key", component)
		}
	}
}

// install makes what a release keeps, and what another rendering has changed.
func (s *server) install(t *testing.T, r rendered) {
	t.Helper()
	for _, o := range r.objects {
		if o.GetKind() != "Secret" {
			continue
		}
		secret := as[corev1.Secret](t, o)
		_ = s.kube.CoreV1().Secrets(s.namespace).Delete(t.Context(), secret.Name, metav1.DeleteOptions{})
		if err := s.create(t.Context(), o, false); err != nil {
			t.Fatal(err)
		}
	}
}

func certificatesOf(t *testing.T, r rendered) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range servers {
		out[s] = string(find[corev1.Secret](t, r, "Secret/towline-tls-"+s).Data["tls.crt"])
	}
	return out
}

func TestCertificatesAreKeptAndRenewed(t *testing.T) {
	s := newServer(t)
	first := s.render(t, combinations["minimal"])
	s.install(t, first)
	if diff := cmp.Diff(certificatesOf(t, first), certificatesOf(t, s.render(t, combinations["minimal"]))); diff != "" {
		t.Error("an upgrade makes other certificates")
	}
	// Three months later, only the certificates are new.
	past := strconv.FormatInt(time.Now().Add(-91*24*time.Hour).Unix(), 10)
	for _, name := range servers {
		patch := `{"metadata":{"annotations":{"towline/made-at":"` + past + `"}}}`
		if _, err := s.kube.CoreV1().Secrets(s.namespace).Patch(t.Context(), "towline-tls-"+name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	later := s.render(t, combinations["minimal"])
	for name, before := range certificatesOf(t, first) {
		if certificatesOf(t, later)[name] == before {
			t.Errorf("%s is not renewed", name)
		}
		if err := trusts(t, first, later, name, s.namespace); err != nil {
			t.Errorf("who has not heard of it: %v", err)
		}
	}
	never := s.render(t, combinations["minimal"]+"\n---\ntls: {renewAfterDays: 0}\n")
	if !maps.Equal(certificatesOf(t, never), certificatesOf(t, first)) {
		t.Error("renewed although it is never to be")
	}
	redis := func(r rendered) map[string]string { return pods(t, r)["redis"].Annotations }
	if cmp.Equal(redis(later), redis(first)) || !cmp.Equal(redis(never), redis(first)) {
		t.Error("Redis, which reads its certificate at the start only, does not restart when it is renewed, or does without")
	}
}

// The authority changes in one step, and at no time anybody meets a stranger:
// who has the old bundle trusts the new certificates and the other way round.
func TestTheAuthorityChangesWithoutAStranger(t *testing.T) {
	s := newServer(t)
	var all []rendered
	for generation := 1; generation <= 3; generation++ {
		r := s.render(t, combinations["minimal"]+"\n---\ntls: {generation: "+strconv.Itoa(generation)+"}\n")
		s.install(t, r)
		all = append(all, r)
	}
	authority := func(r rendered) string {
		return string(find[corev1.Secret](t, r, "Secret/towline-ca").Data["tls.crt"])
	}
	if authority(all[0]) == authority(all[1]) || authority(all[1]) == authority(all[2]) {
		t.Error("the authority does not change")
	}
	for i := 1; i < len(all); i++ {
		for _, name := range servers {
			if err := trusts(t, all[i-1], all[i], name, s.namespace); err != nil {
				t.Errorf("old bundle, new certificate of %s: %v", name, err)
			}
			if err := trusts(t, all[i], all[i-1], name, s.namespace); err != nil {
				t.Errorf("new bundle, old certificate of %s: %v", name, err)
			}
		}
	}
	if err := trusts(t, all[2], all[0], "policy", s.namespace); err == nil {
		t.Error("an authority is trusted for ever")
	}
	var n int
	for rest := []byte(find[corev1.ConfigMap](t, all[2], "ConfigMap/towline-ca").Data["ca.crt"]); ; n++ {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d authorities are trusted", n)
	}
}

// A password of Redis changes in one step: what one generation uses the one
// before takes and the one after, so that neither an upgrade nor a rollback
// shuts out a pod whose file is not brought up to date.
func TestPasswordsOfRedisAreKeptAndChanged(t *testing.T) {
	s := newServer(t)
	at := func(r rendered) map[string][]byte { return find[corev1.Secret](t, r, "Secret/towline-redis").Data }
	of := func(generation int) rendered {
		return s.render(t, combinations["minimal"]+"\n---\nredis: {embedded: {generation: "+strconv.Itoa(generation)+"}}\n")
	}
	var all []rendered
	for generation := 1; generation <= 3; generation++ {
		r := of(generation)
		s.install(t, r)
		if !cmp.Equal(at(r), at(of(generation))) {
			t.Errorf("generation %d: the next upgrade makes other passwords", generation)
		}
		all = append(all, r)
	}
	taken := func(r rendered, user string) []string {
		var l []string
		for _, which := range []string{"", "-next", "-previous"} {
			if p := string(at(r)[user+"-password"+which]); p != "" {
				l = append(l, p)
			}
		}
		return l
	}
	for _, user := range []string{"tunnel", "runner", "scaler"} {
		uses := func(i int) string { return string(at(all[i])[user+"-password"]) }
		for i := 1; i < len(all); i++ {
			if uses(i) == uses(i-1) {
				t.Errorf("%s: generation %d uses the password of the one before", user, i+1)
			}
			if !slices.Contains(taken(all[i-1], user), uses(i)) || !slices.Contains(taken(all[i], user), uses(i-1)) {
				t.Errorf("%s: generations %d and %d do not take each other's passwords", user, i, i+1)
			}
		}
		if slices.Contains(taken(all[2], user), uses(0)) {
			t.Errorf("%s: a password is kept for ever", user)
		}
	}
	if cmp.Equal(pods(t, all[1])["redis"].Annotations, pods(t, all[0])["redis"].Annotations) {
		t.Error("Redis does not restart to learn of them")
	}
	// Back by one, as a rollback does it, and forward again: the same as before.
	s.install(t, all[1])
	if got, want := at(of(3))["tunnel-password"], at(all[2])["tunnel-password"]; !bytes.Equal(got, want) {
		t.Error("raised again after a rollback, another password is used than the next one that all know")
	}
}

// A release of an older chart has no next password: it gets one, and goes on with
// the one that it uses.
func TestAReleaseWithoutNextPasswordsGetsThem(t *testing.T) {
	s := newServer(t)
	s.install(t, s.render(t, combinations["minimal"]))
	secrets := s.kube.CoreV1().Secrets(s.namespace)
	older, err := secrets.Get(t.Context(), "towline-redis", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(older.Data, func(key string, _ []byte) bool { return strings.HasSuffix(key, "-next") })
	older.Data["runner-password-previous"] = []byte("the one before")
	if _, err := secrets.Update(t.Context(), older, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(older.Data) != 4 {
		t.Fatalf("an older release's Secret has %d keys", len(older.Data))
	}
	got := find[corev1.Secret](t, s.render(t, combinations["minimal"]), "Secret/towline-redis").Data
	for key, want := range older.Data {
		if !bytes.Equal(got[key], want) {
			t.Errorf("%s is changed", key)
		}
	}
	for _, user := range []string{"tunnel", "runner", "scaler"} {
		if next := got[user+"-password-next"]; len(next) != 32 || bytes.Equal(next, got[user+"-password"]) {
			t.Errorf("%s: the next password is %q", user, next)
		}
	}
}

// The sealing key changes in one step: who has the old file opens what the new
// one seals, and the other way round.
func TestTheSealingKeyChangesWithoutAnUnreadableJob(t *testing.T) {
	s := newServer(t)
	var boxes []*seal.Box
	var all []rendered
	for generation := 1; generation <= 3; generation++ {
		r := s.render(t, minimal+"\n---\ncredentials: {runner: {value: x}, seal: {generation: "+strconv.Itoa(generation)+"}}\n")
		s.install(t, r)
		path := filepath.Join(t.TempDir(), "seal.key")
		write(t, path, string(find[corev1.Secret](t, r, "Secret/towline-seal").Data["seal.key"]))
		box, err := seal.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		boxes, all = append(boxes, box), append(all, r)
	}
	opens := func(to, from *seal.Box) bool {
		sealed, err := from.Seal([]byte("job"), "purpose")
		if err != nil {
			t.Fatal(err)
		}
		_, err = to.Open(sealed, "purpose")
		return err == nil
	}
	for i := 1; i < len(boxes); i++ {
		if !opens(boxes[i-1], boxes[i]) || !opens(boxes[i], boxes[i-1]) {
			t.Errorf("steps %d and %d do not read each other's jobs", i, i+1)
		}
		if !cmp.Equal(deployment(t, all[i], "tunnel").Spec.Template, deployment(t, all[i-1], "tunnel").Spec.Template) {
			t.Error("pods restart for the new key, which they read by themselves")
		}
	}
	if opens(boxes[2], boxes[0]) {
		t.Error("a key is kept for ever")
	}
}

// The signing key changes in one step likewise: what one generation signs the one
// before publishes and the one after, so that neither an upgrade nor a rollback
// ends a job.
func TestTheSigningKeyChangesAndItsNeighboursCount(t *testing.T) {
	s := newServer(t)
	var all []map[string][]byte
	for generation := 1; generation <= 3; generation++ {
		r := s.render(t, minimal+"\n---\ncredentials: {runner: {value: x}, signing: {generation: "+strconv.Itoa(generation)+"}}\n")
		s.install(t, r)
		all = append(all, find[corev1.Secret](t, r, "Secret/towline-signing").Data)
	}
	for i, want := range [][]string{{"0000.pem", "0001.pem"}, {"0000.pem", "0001.pem", "0002.pem"}, {"0000.pem", "0002.pem", "0003.pem"}} {
		if names := slices.Sorted(maps.Keys(all[i])); !slices.Equal(names, want) {
			t.Errorf("step %d: the keys are %v, want %v", i+1, names, want)
		}
		if i == 0 {
			continue
		}
		before, now := fmt.Sprintf("%04d.pem", i), fmt.Sprintf("%04d.pem", i+1)
		if string(all[i][now]) != string(all[i-1]["0000.pem"]) || string(all[i][before]) != string(all[i-1][before]) || string(all[i]["0000.pem"]) == string(all[i][now]) {
			t.Errorf("steps %d and %d do not know each other's keys", i, i+1)
		}
	}
	// A key is never taken back: it would sign no more than it does by its name.
	_, err := renderFor(t, target{release: release, namespace: s.namespace, api: s.api}, minimal+"\n---\ncredentials: {runner: {value: x}, signing: {generation: 2}}\n")
	if want := "credentials.signing.generation is 2, and the key of generation 3 signs already"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a lower generation: %v, want %q", err, want)
	}
}
