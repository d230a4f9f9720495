package helm

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/helmtest"
)

// chartRepository returns the address of a repository with app 1.2.3, 1.3.0 and
// a pre-release.
func chartRepository(t *testing.T) string {
	t.Helper()
	maker := newShell(t)
	dir := filepath.Join(maker.dir, "served")
	t.Chdir(maker.dir)
	server := helmtest.ChartServer(t, dir)
	for _, args := range []string{
		"package app -d served",
		"package app -d served --version 1.3.0",
		"package app -d served --version 2.0.0-beta.1",
		"package lib -d served",
		"repo index served --url " + server.URL,
	} {
		if r := maker.run(t.Context(), line{args: args}); r.Code != 0 {
			t.Fatal(r)
		}
	}
	return server.URL
}

const asRobot = "--username " + helmtest.User + " --password " + helmtest.Password

// TestRepositoriesAreThoseOfHelm compares what works with an HTTP repository
// that asks for a password.
func TestRepositoriesAreThoseOfHelm(t *testing.T) {
	address := chartRepository(t)
	theirs, ours := newShell(t), newShell(t)
	for _, s := range []*shell{theirs, ours} {
		text := "apiVersion: v2\nname: parent\nversion: 2.0.0\ndependencies:\n- {name: app, version: ~1.2.0, repository: \"" + address + "\"}\n"
		if err := os.WriteFile(filepath.Join(s.dir, "parent", "Chart.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, theirs, ours, []line{
		{args: "repo add test " + address},
		{args: "repo add test " + address + " --username robot --password wrong"},
		{args: "repo add te/st " + address + " " + asRobot},
		{args: "repo add stable https://kubernetes-charts.storage.googleapis.com"},
		{args: "repo add odd gopher://nowhere"},
		{args: "repo add test " + address + " --username robot --password-stdin --pass-credentials", stdin: helmtest.Password + "\n"},
		{args: "repo add test " + address + " --pass-credentials " + asRobot},
		{args: "repo add test " + address + "/other " + asRobot},
		{args: "repo add test " + address + " --force-update " + asRobot},
		{args: "repo list"},
		{args: "repo list -o yaml"},
		{args: "repo update"},
		{args: "repo update test none"},
		{args: "search repo"},
		{args: "search repo test/a -l --devel"},
		{args: "search repo 'small app' -o json"},
		{args: "search repo -r ^a.p -o yaml"},
		{args: "search repo app --version <1.3"},
		{args: "search repo app --version nonsense"},
		{args: "search repo nothing"},
		{args: "search repo nothing --fail-on-no-result"},
		{args: "show chart test/app"},
		{args: "show chart test/app --version 1.2.3"},
		{args: "show chart test/app --devel"},
		{args: "show chart test/app --version 9"},
		{args: "show chart app --repo " + address + " " + asRobot},
		{args: "show chart app --repo " + address},
		{args: "pull test/app --untar --untardir unpacked"},
		{args: "pull test/app --untar --untardir unpacked"},
		{args: "pull test/app -d pulled", loose: true}, // the directory does not exist
		{args: "pull test/app --version 1.2.3"},
		{args: "pull " + address + "/app-1.3.0.tgz " + asRobot},
		{args: "pull test/none"},
		{args: "pull none/app"},
		{args: "template mine test/app"},
		{args: "dependency update parent"},
		{args: "dependency build parent"},
		{args: "dependency list parent"},
		{args: "template mine app -f " + address + "/values.yaml"},
		{args: "repo remove none"},
		{args: "repo remove test"},
		{args: "repo list"},
	})
}

// TestRegistriesAreThoseOfHelm compares what works with an OCI registry that
// asks for a password.
func TestRegistriesAreThoseOfHelm(t *testing.T) {
	host := helmtest.RegistryServer(t)
	theirs, ours := newShell(t), newShell(t)
	t.Chdir(ours.dir)
	if r := ours.run(t.Context(), line{args: "package app"}); r.Code != 0 {
		t.Fatal(r)
	}
	archive, err := os.ReadFile(filepath.Join(ours.dir, "app-1.2.3.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(theirs.dir, "app-1.2.3.tgz"), archive, 0o600); err != nil {
		t.Fatal(err)
	}
	compare(t, theirs, ours, []line{
		{args: "push app-1.2.3.tgz oci://" + host + "/charts --plain-http"},
		{args: "registry login " + host + " -u robot -p wrong --plain-http"},
		{args: "registry login " + host + " -u robot -p s3cret --plain-http"},
		{args: "registry logout " + host},
		{args: "registry login " + host + " -u robot --password-stdin", stdin: helmtest.Password + "\n"},
		{args: "push app-1.2.3.tgz oci://" + host + "/charts --plain-http"},
		{args: "push app-1.2.3.tgz oci://" + host + "/charts"},
		{args: "push app-1.2.3.tgz https://" + host + "/charts"},
		{args: "push none.tgz oci://" + host + "/charts"},
		{args: "show chart oci://" + host + "/charts/app --version 1.2.3 --plain-http"},
		{args: "show values oci://" + host + "/charts/app --plain-http"},
		{args: "template mine oci://" + host + "/charts/app --version ^1 --plain-http"},
		{args: "template mine oci://" + host + "/charts/app:1.2.3 --plain-http"},
		{args: "pull oci://" + host + "/charts/app --version 1.2.3 --untar --untardir oci --plain-http"},
		{args: "pull oci://" + host + "/charts/none --version 1 --plain-http"},
		{args: "pull oci://" + host + "/charts/app --version 7.0.0 --plain-http"},
		{args: "registry logout " + host},
		{args: "pull oci://" + host + "/charts/app --version 1.2.3 --plain-http"},
		{args: "pull oci://" + host + "/charts/app --version 1.2.3 --plain-http " + asRobot},
	})
}

// TestDockerLogin proves that helm's fallback to Docker's file looks where the
// script's environment says.
func TestDockerLogin(t *testing.T) {
	host := helmtest.RegistryServer(t)
	theirs, ours := newShell(t), newShell(t)
	config := `{"auths": {"` + host + `": {"auth": "` + base64.StdEncoding.EncodeToString([]byte(helmtest.User+":"+helmtest.Password)) + `"}}}`
	for _, s := range []*shell{theirs, ours} {
		if err := os.MkdirAll(filepath.Join(s.dir, "home", ".docker"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, "home", ".docker", "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, theirs, ours, []line{
		{args: "package app"},
		{args: "push app-1.2.3.tgz oci://" + host + "/charts --plain-http"},
		{args: "show chart oci://" + host + "/charts/app --plain-http"},
		{args: "show chart oci://" + host + "/charts/app --plain-http --username robot --password wrong"},
	})
}

// TestOtherDirectory proves that paths are those of the shell when it has left
// the directory of the process.
func TestOtherDirectory(t *testing.T) {
	s := newShell(t)
	s.env["HELM_REPOSITORY_CONFIG"] = "conf/repos.yaml"
	address := chartRepository(t)
	s.helm.workDir = t.TempDir()
	t.Chdir(s.helm.workDir)
	for args, want := range map[string]string{
		"template mine app -f values-a.yaml":             `message: "from a file"`,
		"template mine ./app --set-file message=text.md": `message: "multi\nline\n"`,
		"lint app":                                            "1 chart(s) linted, 0 chart(s) failed",
		"show readme app":                                     "# App",
		"template mine app --output-dir out":                  "wrote DIR/out/app/templates/service.yaml",
		"repo add test " + address + " " + asRobot:            `"test" has been added`,
		"dependency update parent":                            "Saving 1 charts",
		"create made":                                         "Creating made",
		"env HELM_REPOSITORY_CONFIG":                          "DIR/conf/repos.yaml",
		"pull " + address + "/app-1.3.0.tgz " + asRobot:       "",
		"package app":                                         "DIR/app-1.2.3.tgz",
		"repo index . --url https://charts.example.com/cache": "",
	} {
		if r := s.run(t.Context(), line{args: args}); r.Code != 0 || !strings.Contains(r.Out, want) {
			t.Errorf("helm %s: %+v", args, r)
		}
	}
	for _, file := range []string{
		"out/app/templates/service.yaml", "conf/repos.yaml", "parent/charts/app-1.2.3.tgz", "made/Chart.yaml",
		"app-1.3.0.tgz", "app-1.2.3.tgz", "index.yaml",
	} {
		if _, err := os.Stat(filepath.Join(s.dir, file)); err != nil {
			t.Error(err)
		}
	}
}
