package app

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"text/tabwriter"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/shell"
	"github.com/towline/towline/services/runner/internal/toolbox"
	"github.com/towline/towline/services/runner/internal/toolbox/program"
)

// ToolboxCommand is the argument with which the binary tells what jobs can run.
const ToolboxCommand = "toolbox"

// imageToolbox is the toolbox folder of the runner's image.
const imageToolbox = "/opt/towline/toolbox"

// toolboxFolders are the folders that a setting names: a list as PATH is, or
// the image's own when it is empty.
func toolboxFolders(setting string) []string {
	if setting != "" {
		return filepath.SplitList(setting)
	}
	if _, err := os.Stat(imageToolbox); err != nil {
		return nil
	}
	return []string{imageToolbox}
}

// toolboxMain is `towline-runner toolbox`: it lists what jobs can run, or makes
// a toolbox folder.
func toolboxMain(args []string, getenv func(string) string, out io.Writer) error {
	if len(args) > 0 && args[0] == "make" {
		return makeToolbox(args[1:], out)
	}
	s := service.NewSettings("runner toolbox", getenv, out)
	var setting string
	bindToolbox(s, &setting)
	if err := s.Parse(args); err != nil {
		return err
	}
	return listToolbox(toolboxFolders(setting), out)
}

func bindToolbox(s *service.Settings, setting *string) {
	s.String(setting, "toolbox", "", "directories with the static programs that jobs may start, separated by colons; empty uses "+imageToolbox+" if it exists")
}

// makeToolbox is `towline-runner toolbox make`.
func makeToolbox(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("runner toolbox make", flag.ContinueOnError)
	fs.SetOutput(out)
	busybox := fs.String("busybox", "", "`file` of a statically linked busybox")
	call := fs.String("call", "", "`file` of the program that calls back, built from services/runner/cmd/call")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *busybox == "" || *call == "" || fs.NArg() != 1 {
		return errors.New("use: towline-runner toolbox make -busybox FILE -call FILE DIRECTORY")
	}
	tools, err := commands(nil)
	if err != nil {
		return err
	}
	return toolbox.MakeFolder(fs.Arg(0), *busybox, *call, tools.BuiltIn())
}

// commands is the toolbox as a job has it.
func commands(folders []string) (*toolbox.Toolbox, error) {
	tools, err := toolbox.New(toolbox.Config{TempDir: os.TempDir(), Folders: folders})
	if err != nil {
		return nil, err
	}
	if _, err := shell.New(tools); err != nil {
		return nil, err
	}
	return tools, nil
}

// listToolbox prints a line for each name.
func listToolbox(folders []string, out io.Writer) error {
	tools, err := commands(folders)
	if err != nil {
		return err
	}
	defer tools.Close() //nolint:errcheck // the process ends
	const space = 2
	table := tabwriter.NewWriter(out, 0, 0, space, ' ', 0)
	fmt.Fprintln(table, "NAME\tWHERE\tVERSION")
	dynamic := 0
	for _, name := range tools.Names() {
		file := tools.Program(name)
		if file == "" {
			fmt.Fprintf(table, "%s\tbuilt in\t%s\n", name, builtInVersion(name))
			continue
		}
		version := ""
		switch info, err := program.Inspect(file); {
		case err != nil:
			version = "a script, or no program for this system"
		case info.Loader != "":
			dynamic++
			version = "DOES NOT RUN: dynamically linked (needs " + info.Loader + ")"
		default:
			version = info.Version
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", name, file, version)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if dynamic > 0 {
		fmt.Fprintf(out, "\n%d program(s) cannot run in a job: only statically linked programs can. Put static ones in their place.\n", dynamic)
	}
	if len(folders) == 0 {
		fmt.Fprintln(out, "\nThere is no toolbox folder, so grep, sed, awk, tar and the like are missing. `make toolbox` makes one on a development machine; --toolbox names it.")
	}
	return nil
}

// modules are where commands come from.
var modules = map[string]string{
	"kubectl": "k8s.io/kubectl", "helm": "helm.sh/helm/v3", "kustomize": "sigs.k8s.io/kustomize/kustomize/v5", "jq": "github.com/itchyny/gojq",
	"yq": "github.com/mikefarah/yq/v4", "git": "github.com/go-git/go-git/v5", "envsubst": "github.com/a8m/envsubst",
	"sh": "mvdan.cc/sh/v3", "bash": "mvdan.cc/sh/v3", "ash": "mvdan.cc/sh/v3", "dash": "mvdan.cc/sh/v3",
}

func builtInVersion(name string) string {
	module := modules[name]
	if info, ok := debug.ReadBuildInfo(); ok && module != "" {
		for _, dep := range info.Deps {
			if dep.Path == module {
				return module + " " + dep.Version
			}
		}
	}
	return "towline " + service.Version
}
