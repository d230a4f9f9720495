package toolbox

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// elsewhere is where programs that are not here can be had.
const elsewhere = "other programs need a job with its own image (another runner), or an operator who adds them to the toolbox folder"

// Bounds of the search for names that were meant.
const (
	maxNear     = 3  // names shown
	maxMisspelt = 32 // longest name that is compared
)

// wellKnown are tools for which nobody has made a typing error.
var wellKnown = map[string]bool{}

func init() {
	for _, name := range strings.Fields(`apk apt apt-get aws az buildah bun cargo cmake composer deno dnf docker dotnet flux gcc gcloud
		glab go gradle gsutil helmfile java kaniko make mvn nix node npm npx openssl oras pdm perl php pip pip3 pnpm podman
		poetry pulumi pytest python python3 rsync ruby rustc scp skaffold skopeo sops ssh sudo su systemctl terraform terragrunt tofu trivy uv
		vault yarn yum zip`) {
		wellKnown[name] = true
	}
}

// unknown tells of a name that nothing answers to.
func (t *Toolbox) unknown(inv tool.Invocation, place string) {
	fmt.Fprintf(inv.Stderr, "%s%s: command not found\n", place, inv.Name)
	t.suggest(inv, path.Base(inv.Name))
}

func (t *Toolbox) suggest(inv tool.Invocation, name string) {
	if near := t.near(name); len(near) > 0 && !wellKnown[name] {
		fmt.Fprintf(inv.Stderr, "bash: did you mean %s?\n", strings.Join(near, " or "))
	}
	fmt.Fprintf(inv.Stderr, "bash: %s is not among the commands of this runner, which runs jobs without an image; %s\n", name, elsewhere)
	if len(t.programs) == 0 {
		fmt.Fprintln(inv.Stderr, "bash: this runner has no toolbox folder, so that only the built-in commands are there; `make toolbox` makes one on a development machine")
	}
}

// near returns the commands whose names differ least, if little.
func (t *Toolbox) near(name string) []string {
	if len(name) < 2 || len(name) > maxMisspelt {
		return nil
	}
	best := min(2, len(name)-1)
	var near []string
	for _, candidate := range t.Names() {
		d := distance(name, candidate)
		if d < best {
			best, near = d, nil
		}
		if d == best {
			near = append(near, candidate)
		}
	}
	// Many names at distance two of a short one are no help.
	if best == 2 && len(name) < 5 {
		return nil
	}
	return slices.Clip(near[:min(len(near), maxNear)])
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to get from a to b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
