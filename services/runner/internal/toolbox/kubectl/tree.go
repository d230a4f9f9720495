package kubectl

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/kubectl/pkg/cmd/annotate"
	"k8s.io/kubectl/pkg/cmd/apiresources"
	"k8s.io/kubectl/pkg/cmd/apply"
	"k8s.io/kubectl/pkg/cmd/attach"
	"k8s.io/kubectl/pkg/cmd/auth"
	"k8s.io/kubectl/pkg/cmd/autoscale"
	"k8s.io/kubectl/pkg/cmd/certificates"
	"k8s.io/kubectl/pkg/cmd/clusterinfo"
	cmdconfig "k8s.io/kubectl/pkg/cmd/config"
	"k8s.io/kubectl/pkg/cmd/debug"
	"k8s.io/kubectl/pkg/cmd/delete"
	"k8s.io/kubectl/pkg/cmd/describe"
	"k8s.io/kubectl/pkg/cmd/drain"
	"k8s.io/kubectl/pkg/cmd/events"
	"k8s.io/kubectl/pkg/cmd/exec"
	"k8s.io/kubectl/pkg/cmd/explain"
	"k8s.io/kubectl/pkg/cmd/expose"
	"k8s.io/kubectl/pkg/cmd/get"
	"k8s.io/kubectl/pkg/cmd/label"
	"k8s.io/kubectl/pkg/cmd/options"
	"k8s.io/kubectl/pkg/cmd/patch"
	"k8s.io/kubectl/pkg/cmd/replace"
	"k8s.io/kubectl/pkg/cmd/rollout"
	"k8s.io/kubectl/pkg/cmd/run"
	"k8s.io/kubectl/pkg/cmd/scale"
	"k8s.io/kubectl/pkg/cmd/set"
	"k8s.io/kubectl/pkg/cmd/taint"
	"k8s.io/kubectl/pkg/cmd/top"
	"k8s.io/kubectl/pkg/cmd/wait"
)

// subcommands are built on demand, by name.
var subcommands = map[string]func(*command, factory) *cobra.Command{
	"alpha":         func(_ *command, _ factory) *cobra.Command { return alphaCommand() },
	"annotate":      func(c *command, f factory) *cobra.Command { return annotate.NewCmdAnnotate("kubectl", f, c.streams) },
	"api-resources": func(c *command, f factory) *cobra.Command { return apiresources.NewCmdAPIResources(f, c.streams) },
	"api-versions":  func(c *command, f factory) *cobra.Command { return apiresources.NewCmdAPIVersions(f, c.streams) },
	"apply":         func(c *command, f factory) *cobra.Command { return applyCommand(c, f) },
	"attach":        func(c *command, f factory) *cobra.Command { return attach.NewCmdAttach(f, c.streams) },
	"auth":          func(c *command, f factory) *cobra.Command { return authCommand(c, f) },
	"autoscale":     func(c *command, f factory) *cobra.Command { return autoscale.NewCmdAutoscale(f, c.streams) },
	"certificate":   func(c *command, f factory) *cobra.Command { return certificates.NewCmdCertificate(f, c.streams) },
	"cluster-info":  func(c *command, f factory) *cobra.Command { return clusterinfo.NewCmdClusterInfo(f, c.streams) },
	"config": func(c *command, f factory) *cobra.Command {
		return cmdconfig.NewCmdConfig(f, c.configAccess(), c.streams)
	},
	"cordon":    func(c *command, f factory) *cobra.Command { return drain.NewCmdCordon(f, c.streams) },
	"cp":        func(c *command, f factory) *cobra.Command { return cpCommand(c, f) },
	"create":    func(c *command, f factory) *cobra.Command { return createCommand(c, f) },
	"debug":     func(c *command, f factory) *cobra.Command { return debug.NewCmdDebug(f, c.streams) },
	"delete":    func(c *command, f factory) *cobra.Command { return delete.NewCmdDelete(f, c.streams) },
	"diff":      func(c *command, f factory) *cobra.Command { return diffCommand(c, f) },
	"describe":  func(c *command, f factory) *cobra.Command { return describe.NewCmdDescribe("kubectl", f, c.streams) },
	"drain":     func(c *command, f factory) *cobra.Command { return drain.NewCmdDrain(f, c.streams) },
	"edit":      func(c *command, f factory) *cobra.Command { return editCommand(c, f) },
	"events":    func(c *command, f factory) *cobra.Command { return events.NewCmdEvents(f, c.streams) },
	"exec":      func(c *command, f factory) *cobra.Command { return exec.NewCmdExec(f, c.streams) },
	"explain":   func(c *command, f factory) *cobra.Command { return explain.NewCmdExplain("kubectl", f, c.streams) },
	"expose":    func(c *command, f factory) *cobra.Command { return expose.NewCmdExposeService(f, c.streams) },
	"get":       func(c *command, f factory) *cobra.Command { return get.NewCmdGet("kubectl", f, c.streams) },
	"kustomize": func(c *command, _ factory) *cobra.Command { return c.kustomizeCommand() },
	"label":     func(c *command, f factory) *cobra.Command { return label.NewCmdLabel(f, c.streams) },
	"logs":      func(c *command, f factory) *cobra.Command { return logsCommand(c, f) },
	"options":   func(c *command, _ factory) *cobra.Command { return options.NewCmdOptions(c.streams.Out) },
	"patch":     func(c *command, f factory) *cobra.Command { return patch.NewCmdPatch(f, c.streams) },
	"replace":   func(c *command, f factory) *cobra.Command { return replace.NewCmdReplace(f, c.streams) },
	"rollout":   func(c *command, f factory) *cobra.Command { return rollout.NewCmdRollout("kubectl", f, c.streams) },
	"run":       func(c *command, f factory) *cobra.Command { return run.NewCmdRun(f, c.streams) },
	"scale":     func(c *command, f factory) *cobra.Command { return scale.NewCmdScale(f, c.streams) },
	"set":       func(c *command, f factory) *cobra.Command { return set.NewCmdSet(f, c.streams) },
	"taint":     func(c *command, f factory) *cobra.Command { return taint.NewCmdTaint(f, c.streams) },
	"top":       func(c *command, f factory) *cobra.Command { return top.NewCmdTop(f, c.streams) },
	"uncordon":  func(c *command, f factory) *cobra.Command { return drain.NewCmdUncordon(f, c.streams) },
	"version":   func(c *command, _ factory) *cobra.Command { return c.versionCommand() },
	"wait":      func(c *command, f factory) *cobra.Command { return wait.NewCmdWait(f, c.streams) },
}

// refused are commands of kubectl that cannot work in a job.
var refused = map[string]string{
	"completion": "there is no interactive shell in a job",
	"kuberc":     "preference files are not used in a job",
	"plugin":     "plugins are external programs, and nothing but the built-in commands is executed here",
	"port-forward": "a job may not listen on a port; use \"kubectl get --raw /api/v1/namespaces/NAMESPACE/services/NAME:PORT/proxy/PATH\" " +
		"for HTTP, or \"kubectl exec\" in a pod",
	"proxy": "a job may not listen on a port; use \"kubectl get --raw PATH\"",
}

// addSubcommands adds the one subcommand that the arguments name, or all of
// them for help and for unknown names.
func (c *command) addSubcommands(root *cobra.Command, f factory) {
	name := Subcommand(root, c.inv.Args)
	if why, ok := refused[name]; ok {
		root.AddCommand(refusedCommand(name, why))
		return
	}
	if build, ok := subcommands[name]; ok {
		root.AddCommand(build(c, f))
		// Help and messages refer to these if they are there.
		for _, other := range []string{"explain", "options"} {
			if other != name {
				root.AddCommand(&cobra.Command{Use: other, Hidden: true, Run: func(*cobra.Command, []string) {}})
			}
		}
		return
	}
	for _, build := range subcommands {
		root.AddCommand(build(c, f))
	}
}

// Subcommand finds the name of the subcommand among the arguments, skipping the
// root's flags and their values. It is "" when there is none.
func Subcommand(root *cobra.Command, args []string) string {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if len(arg) < 2 || arg[0] != '-' {
			return arg
		}
		if arg == "--" {
			return ""
		}
		if takesValue(root, arg) {
			i++
		}
	}
	return ""
}

// takesValue says whether a flag in front of the subcommand is followed by its
// value as an argument of its own.
func takesValue(root *cobra.Command, arg string) bool {
	if strings.Contains(arg, "=") {
		return false
	}
	var flag *pflag.Flag
	if name, long := strings.CutPrefix(arg, "--"); long {
		flag = root.PersistentFlags().Lookup(name)
	} else if len(arg) == 2 {
		flag = root.PersistentFlags().ShorthandLookup(arg[1:])
	}
	return flag != nil && flag.NoOptDefVal == ""
}

// refusedCommand explains why a subcommand does not exist here.
func refusedCommand(name, why string) *cobra.Command {
	return &cobra.Command{
		Use: name, Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("kubectl %s is not available in a job: %s", name, why)
		},
	}
}

// alphaCommand says what upstream's says.
func alphaCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "alpha", Short: "Commands for features in alpha", Hidden: true}
	cmd.Run = func(cmd *cobra.Command, _ []string) {
		cmd.PrintErrln("No alpha commands are available in this version of kubectl")
	}
	return cmd
}

// applyCommand has compiled-in types compute patches of built-in kinds, as
// kubectl did before 1.27: fetching and parsing OpenAPI takes far longer than
// everything else together. --openapi-patch=true brings it back.
func applyCommand(c *command, f factory) *cobra.Command {
	cmd := apply.NewCmdApply("kubectl", f, c.streams)
	if flag := cmd.Flags().Lookup("openapi-patch"); flag != nil {
		flag.DefValue = "false"
		_ = flag.Value.Set("false")
	}
	for _, sub := range cmd.Commands() {
		if sub.Name() == "edit-last-applied" {
			sub.Run, sub.RunE = nil, func(*cobra.Command, []string) error { return errEditLastApplied }
		}
	}
	return cmd
}

// authCommand replaces can-i, whose upstream form ends the whole process with
// os.Exit when the answer is no.
func authCommand(c *command, f factory) *cobra.Command {
	cmd := auth.NewCmdAuth(f, c.streams)
	for _, sub := range cmd.Commands() {
		if sub.Name() == "can-i" {
			sub.Run, sub.RunE = nil, func(sub *cobra.Command, args []string) error { return canI(c, f, sub, args) }
		}
	}
	return cmd
}

func canI(c *command, f factory, cmd *cobra.Command, args []string) error {
	o := &auth.CanIOptions{IOStreams: c.streams}
	flags := cmd.Flags()
	o.AllNamespaces, _ = flags.GetBool("all-namespaces")
	o.Quiet, _ = flags.GetBool("quiet")
	o.List, _ = flags.GetBool("list")
	o.NoHeaders, _ = flags.GetBool("no-headers")
	o.Subresource, _ = flags.GetString("subresource")
	if err := o.Complete(f, args); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	if o.List {
		return o.RunAccessList()
	}
	allowed, err := o.RunAccessCheck()
	if err == nil && !allowed {
		return errExit
	}
	return err
}
