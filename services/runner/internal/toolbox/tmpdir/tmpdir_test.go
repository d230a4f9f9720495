package tmpdir

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var dir = New("/work/7/tmp/.tmp", "/work/7/project", "/work/7/tmp")

func TestPathsBelowTmpAreTheJobsOwn(t *testing.T) {
	for in, want := range map[string]string{
		"/tmp":               "/work/7/tmp/.tmp",
		"/tmp/":              "/work/7/tmp/.tmp/",
		"/tmp/a/b":           "/work/7/tmp/.tmp/a/b",
		"/tmp//a/./b":        "/work/7/tmp/.tmp/a/b",
		"/tmp/../etc/passwd": "/tmp/../etc/passwd",
		"/tmpfoo":            "/tmpfoo",
		"tmp/a":              "tmp/a",
		"/var/tmp/a":         "/var/tmp/a",
		"":                   "",
		"/work/7/project/x":  "/work/7/project/x",
	} {
		if got := dir.Path(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if again := dir.Path(dir.Path(in)); again != want {
			t.Errorf("%q twice: %q, want %q", in, again, want)
		}
	}
}

func TestAJobThatLiesBelowTmpKeepsItsOwnPaths(t *testing.T) {
	d := New("/tmp/towline/7/tmp/.tmp", "/tmp/towline/7/project")
	for in, want := range map[string]string{
		"/tmp/towline/7/project/x":  "/tmp/towline/7/project/x",
		"/tmp/towline/7/tmp/.tmp/x": "/tmp/towline/7/tmp/.tmp/x",
		"/tmp/towline/8/project/x":  "/tmp/towline/7/tmp/.tmp/towline/8/project/x",
		"/tmp/x":                    "/tmp/towline/7/tmp/.tmp/x",
	} {
		if got := d.Path(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestArgumentsThatAreFiles(t *testing.T) {
	for in, want := range map[string]string{
		"kubectl apply -f /tmp/a.yaml":                                     "kubectl apply -f OWN/a.yaml",
		"kubectl apply --filename=/tmp/a.yaml":                             "kubectl apply --filename=OWN/a.yaml",
		"kubectl create cm x --from-file=k=/tmp/a --from-literal=p=/tmp/a": "kubectl create cm x --from-file=k=OWN/a --from-literal=p=/tmp/a",
		"kubectl create cm x --from-file /tmp/a":                           "kubectl create cm x --from-file OWN/a",
		"kubectl exec p -- cat /tmp/a":                                     "kubectl exec p -- cat /tmp/a",
		"kubectl cp p:/tmp/a /tmp/b":                                       "kubectl cp p:/tmp/a OWN/b",
		"helm upgrade r c --set-file ca=/tmp/ca --set dir=/tmp/x":          "helm upgrade r c --set-file ca=OWN/ca --set dir=/tmp/x",
		"curl -d @/tmp/body -F file=@/tmp/f -o /tmp/out":                   "curl -d @OWN/body -F file=@OWN/f -o OWN/out",
		"sed -i s#/tmp/x#y# f":                                             "sed -i s#/tmp/x#y# f",
		"tar -C /tmp -xzf - -- /tmp/x":                                     "tar -C OWN -xzf - -- OWN/x",
		"true":                                                             "true",
	} {
		words := strings.Fields(in)
		got := append(words[:1:1], dir.Args(words[0], words[1:])...)
		if text := strings.ReplaceAll(strings.Join(got, " "), "/work/7/tmp/.tmp", "OWN"); text != want {
			t.Errorf("%s\n got %s\nwant %s", in, text, want)
		}
	}
}

func TestEnvironmentVariablesThatArePaths(t *testing.T) {
	in := []string{"KUBECONFIG=/tmp/k", "HOME=/tmp", "TEXT=see /tmp/x", "EMPTY=", "PATH=/work/7/project/bin:/tmp/bin:/usr/bin"}
	want := []string{"KUBECONFIG=/work/7/tmp/.tmp/k", "HOME=/work/7/tmp/.tmp", "TEXT=see /tmp/x", "EMPTY=", "PATH=/work/7/project/bin:/work/7/tmp/.tmp/bin:/usr/bin"}
	if diff := cmp.Diff(want, dir.Environ(in)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if in[0] != "KUBECONFIG=/tmp/k" {
		t.Error("the caller's list was changed")
	}
	if got := (Dir{}).Environ(in); &got[0] != &in[0] {
		t.Error("the zero Dir changed something")
	}
}
