package syncer

import (
	"context"
	"fmt"
	"path"
	"slices"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/sops"
)

// decrypted are an entry's files with those in plain text that SOPS has
// encrypted. The key comes out of the cluster by the sync's own rights. What was
// encrypted is kept out of the report.
func decrypted(ctx context.Context, cluster *rest.Config, m agentconfig.Manifests, files []syncspec.File, report *syncspec.Report) ([]syncspec.File, error) {
	if !slices.ContainsFunc(files, func(f syncspec.File) bool { return sops.IsEncrypted(f.Content) }) {
		return files, nil
	}
	if m.DecryptSecret == "" {
		return files, undecrypted(files)
	}
	keys, err := readKeys(ctx, cluster, m)
	if err != nil {
		return nil, err
	}
	var literal func(string) string
	if m.Substitutes() {
		literal = verbatim
	}
	var secrets []string
	out := slices.Clone(files)
	for i, f := range files {
		if !sops.IsEncrypted(f.Content) {
			continue
		}
		if !isManifest(f.Path) {
			return nil, fmt.Errorf("%s: it is encrypted with SOPS in a format that is not supported; only YAML and JSON are", f.Path)
		}
		plain, err := keys.Decrypt(f.Content, literal)
		if err != nil {
			return nil, fmt.Errorf("%s: SOPS: %w", f.Path, err)
		}
		out[i].Content = plain.Content
		secrets = append(secrets, plain.Values...)
	}
	report.Conceal(secrets)
	return out, nil
}

// undecrypted refuses to send what only looks like a Secret to the cluster.
func undecrypted(files []syncspec.File) error {
	for _, f := range files {
		if isManifest(f.Path) && sops.IsEncryptedSecret(f.Content) {
			return fmt.Errorf("%s: it is encrypted with SOPS; name the Secret with the age key in decrypt of the entry", f.Path)
		}
	}
	return nil
}

func readKeys(ctx context.Context, cluster *rest.Config, m agentconfig.Manifests) (sops.Keys, error) {
	client, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return nil, err
	}
	data, err := read(ctx, client, m.DefaultNamespace, agentconfig.ValueSource{Kind: "Secret", Name: m.DecryptSecret})
	if err != nil {
		return nil, fmt.Errorf("decrypt: Secret %s/%s: %w; create it, or give the sync's identity the right to read it", m.DefaultNamespace, m.DecryptSecret, err)
	}
	content := map[string][]byte{}
	for k, v := range data {
		content[k] = []byte(v)
	}
	keys, err := sops.ParseKeys(content)
	if err != nil {
		return nil, fmt.Errorf("decrypt: Secret %s/%s: %w", m.DefaultNamespace, m.DecryptSecret, err)
	}
	return keys, nil
}

func isManifest(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// verbatim keeps what looks like a reference in a secret as it is when values
// are substituted.
func verbatim(text string) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string { return "$" + ref })
}
