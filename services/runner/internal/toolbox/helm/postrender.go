package helm

import (
	"bytes"
	"context"
	"fmt"

	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/postrender"
)

// postRenderer is the flags that name a command which changes manifests.
type postRenderer struct {
	name string
	args []string
}

func (p *postRenderer) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&p.name, "post-renderer", "", "a command of this runner that gets the manifests and writes what is to be used instead")
	fs.StringArrayVar(&p.args, "post-renderer-args", nil, "an argument to the post-renderer (can specify multiple)")
}

// renderer is the post-renderer for the library, nil if none was asked for.
func (c *command) renderer(p *postRenderer) postrender.PostRenderer {
	if p.name == "" {
		return nil
	}
	return rendering{command: c, postRenderer: p}
}

type rendering struct {
	*command
	*postRenderer
}

// Run implements postrender.PostRenderer.
func (r rendering) Run(manifests *bytes.Buffer) (*bytes.Buffer, error) {
	var out, errs bytes.Buffer
	inv := r.inv
	inv.Name, inv.Args = r.name, r.args
	inv.Stdin, inv.Stdout, inv.Stderr = manifests, &out, &errs
	// The library gives a renderer no context; the toolbox leaves helm behind
	// when the job ends.
	if code := r.inv.Run(context.Background(), inv); code != 0 {
		return nil, fmt.Errorf("error while running command %s. error output:\n%s: exit status %d", r.name, errs.String(), code)
	}
	return &out, nil
}
