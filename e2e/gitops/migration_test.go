package gitops

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What GitLab's agent has left is gone on with: what is in the repository is
// kept, what has left it is deleted, and strangers are let be.
func TestTheInventoryOfGitLabsAgentIsTakenOver(t *testing.T) {
	b := open(t, plain, map[string]string{"README.md": "nothing yet"})
	project, err := b.gitlab.Project(shop)
	b.must(err)
	id := fmt.Sprintf("%d-%d", b.opts.AgentID, project.ID)
	maps := b.kube.CoreV1().ConfigMaps(b.namespace)
	inventory := map[string]string{}
	for _, name := range []string{"kept", "left"} {
		inventory[b.namespace+"_"+name+"__ConfigMap"] = ""
		_, err := maps.Create(t.Context(), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"config.k8s.io/owning-inventory": id}}, Data: map[string]string{"x": "old"},
		}, metav1.CreateOptions{FieldManager: "agentk"})
		b.must(err)
	}
	_, err = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "stranger"}}, metav1.CreateOptions{})
	b.must(err)
	_, err = maps.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "inventory-" + id, Labels: map[string]string{"cli-utils.sigs.k8s.io/inventory-id": id}}, Data: inventory,
	}, metav1.CreateOptions{FieldManager: "agentk"})
	b.must(err)
	commit := b.push(map[string]string{"k8s/kept.yaml": configMap("kept", "x", "new")})
	if got := b.status(shop, commit, "success"); got != "1 objects, 1 configured, 1 pruned" {
		t.Errorf("%q", got)
	}
	if b.data("kept")["x"] != "new" || b.data("left") != nil {
		t.Errorf("kept %v, left %v", b.data("kept"), b.data("left"))
	}
	if _, err := maps.Get(t.Context(), "stranger", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}
