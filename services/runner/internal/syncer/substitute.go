package syncer

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
)

// reference is ${NAME}, ${NAME:=default}, or either after a second $, which
// stands for itself.
var reference = regexp.MustCompile(`\$?\$\{([A-Za-z_][A-Za-z0-9_]*)(?::=([^}\n]*))?\}`)

// substitutes are the values of an entry. Those of its vars win over those of
// GitLab's variables, these over those of objects, later objects over earlier
// ones. Those of Secrets and of GitLab's variables are kept out of the report.
func substitutes(ctx context.Context, cluster *rest.Config, m agentconfig.Manifests, variables map[string]string, report *syncspec.Report) (map[string]string, error) {
	values := map[string]string{}
	if len(m.SubstituteFrom) > 0 {
		client, err := kubernetes.NewForConfig(cluster)
		if err != nil {
			return nil, err
		}
		for _, s := range m.SubstituteFrom {
			data, err := read(ctx, client, m.DefaultNamespace, s)
			switch {
			case apierrors.IsNotFound(err) && s.Optional:
				continue
			case err != nil:
				return nil, fmt.Errorf("substitute.from: %s %s/%s: %w; create it, mark it as optional, or give the sync's identity the right to read it", s.Kind, m.DefaultNamespace, s.Name, err)
			}
			maps.Copy(values, data)
			if s.Kind == "Secret" {
				report.Conceal(slices.Collect(maps.Values(data)))
			}
		}
	}
	if err := complete(m, variables); err != nil {
		return nil, err
	}
	report.Conceal(slices.Collect(maps.Values(variables)))
	maps.Copy(values, variables)
	maps.Copy(values, m.Substitute)
	for name, v := range values {
		if strings.ContainsFunc(v, unicode.IsControl) {
			return nil, fmt.Errorf("substitute: the value of %s has more than one line or control characters; use it as a file of a Secret or ConfigMap instead", name)
		}
	}
	return values, nil
}

// complete says whether all of GitLab's variables that the entry names are there.
// A reference with a default would hide that one is missing.
func complete(m agentconfig.Manifests, variables map[string]string) error {
	if m.SubstituteGitLab == nil {
		return nil
	}
	for _, name := range m.SubstituteGitLab.Names {
		if _, there := variables[name]; !there {
			return fmt.Errorf("substitute.gitlab: variable %s of project %s has not come along with the task; the services may be of different versions", name, m.Project)
		}
	}
	return nil
}

func read(ctx context.Context, client kubernetes.Interface, namespace string, s agentconfig.ValueSource) (map[string]string, error) {
	if s.Kind == "ConfigMap" {
		cm, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, s.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return cm.Data, nil
	}
	secret, err := client.CoreV1().Secrets(namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for k, v := range secret.Data {
		out[k] = string(v)
	}
	return out, nil
}

// substitute puts values in place of references. A reference without a value is
// a fault of its line.
func substitute(files []manifests.File, values map[string]string) (out []manifests.File, faults []manifests.Fault) {
	for _, f := range files {
		lines := bytes.Split(f.Content, []byte("\n"))
		for i, line := range lines {
			lines[i] = reference.ReplaceAllFunc(line, func(ref []byte) []byte {
				if bytes.HasPrefix(ref, []byte("$$")) {
					return ref[1:]
				}
				if v, ok := value(ref, values); ok {
					return v
				}
				faults = append(faults, manifests.Fault{
					Origin: manifests.Origin{File: f.Path, Line: i + 1}, Problem: "no value for " + string(ref),
					Remedy: "add it to substitute of the entry, give it a default with :=, or write $" + string(ref) + " for the text itself",
				})
				return ref
			})
		}
		out = append(out, manifests.File{Path: f.Path, Content: bytes.Join(lines, []byte("\n"))})
	}
	return out, faults[:min(len(faults), manifests.MaxFaults)]
}

// value is what a reference stands for, if it stands for anything.
func value(ref []byte, values map[string]string) ([]byte, bool) {
	part := reference.FindSubmatch(ref)
	if v, ok := values[string(part[1])]; ok {
		return []byte(v), true
	}
	return part[2], part[2] != nil
}

// prepare puts values into the sources of a build, where quotes are still as
// their author has set them. What has no value there may be no reference at all:
// it is judged in what is built.
func prepare(files []syncspec.File, values map[string]string) []syncspec.File {
	out := make([]syncspec.File, len(files))
	for i, f := range files {
		out[i] = f
		if !isManifest(f.Path) {
			continue
		}
		out[i].Content = reference.ReplaceAllFunc(f.Content, func(ref []byte) []byte {
			if v, ok := value(ref, values); ok && !bytes.HasPrefix(ref, []byte("$$")) {
				return []byte(verbatim(string(v))) // what is built is looked through, too
			}
			return ref
		})
	}
	return out
}
