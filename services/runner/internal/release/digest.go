package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// digestVersion changes when the meaning of the digest does: then every release
// gets one more revision.
const digestVersion = "1"

// digestLength keeps a digest short enough for a label with its revision.
const digestLength = 40

// digest identifies content: the chart's files, the merged values, the patches.
// All that changes what is deployed must be in it, and nothing else.
func digest(files chartFiles, values map[string]any, patches []Patch) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %d\n", digestVersion, len(files))
	for _, f := range files.sorted() {
		fmt.Fprintf(sum, "%q %d\n", f.Name, len(f.Data))
		_, _ = sum.Write(f.Data) // a hash takes everything
	}
	for _, part := range []any{values, patches} {
		text, err := json.Marshal(part) // maps are written in the order of their keys
		if err != nil {
			return "", fmt.Errorf("values: %w", err)
		}
		fmt.Fprintf(sum, "%d\n", len(text))
		_, _ = sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil))[:digestLength], nil
}
