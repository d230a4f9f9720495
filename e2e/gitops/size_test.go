package gitops

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// applied is how many ConfigMaps of the entry are there.
func (b *bench) applied() int {
	b.Helper()
	list, err := b.kube.CoreV1().ConfigMaps(b.namespace).List(b.Context(), metav1.ListOptions{LabelSelector: "applyset.kubernetes.io/part-of"})
	b.must(err)
	return len(list.Items)
}

// TestLargeRepositories: one invalid object of 500 is named and does not hold up
// the others where it need not; the most that an entry may have arrives, and one
// byte more changes nothing.
func TestLargeRepositories(t *testing.T) {
	const count, bad = 500, 250
	var many strings.Builder
	for i := range count {
		key := "key"
		if i == bad {
			key = "no key"
		}
		fmt.Fprintf(&many, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: many-%03d}\ndata: {%q: x}\n", i, key)
	}
	skip := strings.Replace(plain, "interval: 10s", "on_invalid: skip\n      prune_propagation_policy: background", 1)
	b := open(t, skip, map[string]string{"README.md": "nothing yet"})
	head := b.push(map[string]string{"k8s/many.yaml": many.String()})
	want := fmt.Sprintf("k8s/many.yaml:%d: ConfigMap %s/many-%03d failed: .data[no key]", bad*5+2, b.namespace, bad)
	if got := b.status(shop, head, "failed"); !strings.HasPrefix(got, want) {
		t.Errorf("one of many: %q, want %q", got, want)
	}
	if n := b.applied(); n != count-1 {
		t.Errorf("%d objects beside an invalid one, want %d", n, count-1)
	}

	const limit, most = 20 << 20, 700 << 10
	random := rand.NewChaCha8([32]byte{1}) // what cannot be packed small
	files, left := map[string]string{"k8s/many.yaml": ""}, limit
	for n := 0; left > 0; n++ {
		text := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: large-%02d}\ndata:\n  value: ", n)
		noise := make([]byte, most)
		_, _ = random.Read(noise)
		text += base64.StdEncoding.EncodeToString(noise)[:min(left-len(text)-1, most)] + "\n"
		left -= len(text)
		files[fmt.Sprintf("k8s/large-%02d.yaml", n)] = text
	}
	want = fmt.Sprintf("%d objects, %[1]d created, %d pruned", len(files)-1, count-1)
	if got := b.status(shop, b.push(files), "success"); got != want {
		t.Errorf("20 MiB: %q, want %q", got, want)
	}
	over := b.push(map[string]string{"k8s/one-more.yaml": "#"})
	if got := b.status(shop, over, "failed"); !strings.HasPrefix(got, "the files that are chosen have more than 20971520 bytes together") {
		t.Errorf("a byte more: %q", got)
	}
	if n := b.applied(); n != len(files)-1 {
		t.Errorf("%d objects, want %d", n, len(files)-1)
	}
}
