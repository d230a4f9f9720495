package kubectl

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/cmd/create"
	"k8s.io/kubectl/pkg/cmd/edit"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/scheme"
	"k8s.io/kubectl/pkg/util"
	"sigs.k8s.io/yaml"
)

var (
	errEditLastApplied = errors.New("kubectl apply edit-last-applied is not available in a job; use \"kubectl apply set-last-applied\"")
	errCreateEdit      = errors.New("kubectl create --edit is not available in a job; change the file before it is created")
	errNoEditor        = errors.New("kubectl edit needs an editor that is a built-in command and asks nobody: set KUBE_EDITOR, for example to \"sed -i s/old/new/\"; or use \"kubectl patch\"")
)

// maxEdited bounds what an editor may leave behind.
const maxEdited = 32 << 20

const editHeader = `# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
`

// editing is one `kubectl edit`. Upstream's executes its editor; this one runs
// a command of the toolbox, once, since nobody is there to try again.
type editing struct {
	c         *command
	f         factory
	flags     *cobra.Command
	namespace string
}

// createCommand is upstream's without --edit.
func createCommand(c *command, f factory) *cobra.Command {
	cmd := create.NewCmdCreate(f, c.streams)
	run := cmd.Run
	cmd.Run = nil
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmdutil.GetFlagBool(cmd, "edit") {
			return errCreateEdit
		}
		run(cmd, args)
		return nil
	}
	return cmd
}

// editCommand has upstream's flags.
func editCommand(c *command, f factory) *cobra.Command {
	cmd := edit.NewCmdEdit(f, c.streams)
	cmd.Run = nil
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return (&editing{c: c, f: f, flags: cmd}).run(args)
	}
	return cmd
}

func (e *editing) text(flag string) string { return cmdutil.GetFlagString(e.flags, flag) }

func (e *editing) run(args []string) error {
	editor := e.editor()
	if editor == "" {
		return errNoEditor
	}
	namespace, enforce, err := e.f.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return err
	}
	e.namespace = namespace
	kustomize, recursive := e.text("kustomize"), cmdutil.GetFlagBool(e.flags, "recursive")
	files := &resource.FilenameOptions{Filenames: cmdutil.GetFlagStringSlice(e.flags, "filename"), Kustomize: kustomize, Recursive: recursive}
	infos, err := e.f.NewBuilder().Unstructured().ResourceTypeOrNameArgs(true, args...).Latest().
		NamespaceParam(namespace).DefaultNamespace().FilenameParam(enforce, files).
		Subresource(e.text("subresource")).ContinueOnError().Flatten().Do().Infos()
	if err != nil {
		return err
	}
	if len(infos) == 0 {
		return errors.New("edit cancelled, no objects found")
	}
	before, err := e.print(infos)
	if err != nil {
		return err
	}
	after, err := e.edit(editor, before)
	switch {
	case err != nil:
		return err
	case bytes.Equal(cmdutil.StripComments(before), cmdutil.StripComments(after)):
		fmt.Fprintln(e.c.streams.ErrOut, "Edit cancelled, no changes made.")
		return nil
	case len(bytes.TrimSpace(cmdutil.ManualStrip(after))) == 0:
		fmt.Fprintln(e.c.streams.ErrOut, "Edit cancelled, saved file was empty.")
		return nil
	}
	return e.save(infos, after)
}

// editor is the command line that the shell's environment names.
func (e *editing) editor() string {
	first, _ := e.c.inv.Getenv("KUBE_EDITOR")
	second, _ := e.c.inv.Getenv("EDITOR")
	return strings.TrimSpace(cmp.Or(first, second))
}

// print writes the objects as upstream does, without managed fields.
func (e *editing) print(infos []*resource.Info) ([]byte, error) {
	list := make([]any, len(infos))
	for i, info := range infos {
		object, ok := info.Object.(*unstructured.Unstructured)
		if !ok {
			return nil, fmt.Errorf("%s cannot be edited", info.ObjectName())
		}
		object.SetManagedFields(nil)
		list[i] = object.Object
	}
	content := list[0]
	if len(list) > 1 {
		content = map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{}, "items": list}
	}
	if e.text("output") == "json" {
		object, _ := content.(map[string]any)
		text, err := runtime.Encode(unstructured.UnstructuredJSONScheme, &unstructured.Unstructured{Object: object})
		return text, err
	}
	text, err := yaml.Marshal(content)
	return append([]byte(editHeader), text...), err
}

// edit hands the text to the editor in a file and returns what it left there.
func (e *editing) edit(editor string, text []byte) ([]byte, error) {
	suffix := ".yaml"
	if e.text("output") == "json" {
		suffix = ".json"
	}
	f, err := os.CreateTemp(e.c.kubectl.scratch, "kubectl-edit-*"+suffix)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	inv := e.c.inv
	if strings.ContainsAny(editor, "\"'\\") { // as upstream: a shell has to read it
		inv.Name, inv.Args = "sh", []string{"-c", editor + ` "$1"`, "sh", f.Name()}
	} else {
		words := strings.Fields(editor)
		inv.Name, inv.Args = words[0], append(words[1:], f.Name())
	}
	if code := e.c.runTool(e.c.ctx, inv); code != 0 {
		return nil, fmt.Errorf("there was a problem with the editor %q: exit status %d", editor, code)
	}
	return readAtMost(f.Name(), maxEdited)
}

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return text, err
}

// save sends what was changed.
func (e *editing) save(infos []*resource.Info, text []byte) error {
	edited, err := e.f.NewBuilder().Unstructured().Stream(bytes.NewReader(text), "edited-file").
		Subresource(e.text("subresource")).ContinueOnError().Flatten().Do().Infos()
	if err != nil {
		return fmt.Errorf("the edited file had a syntax error: %w", err)
	}
	if err := resource.InfoListVisitor(edited).Visit(resource.RequireNamespace(e.namespace)); err != nil {
		return err
	}
	var all []error
	for _, now := range edited {
		was := original(infos, now)
		if was == nil {
			all = append(all, fmt.Errorf("no original object found for %s", now.ObjectName()))
			continue
		}
		if err := e.patch(was, now); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// original finds the object that was edited, which keeps its UID.
func original(infos []*resource.Info, now *resource.Info) *resource.Info {
	object, ok := now.Object.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	for _, info := range infos {
		if was, ok := info.Object.(*unstructured.Unstructured); ok && was.GetUID() == object.GetUID() {
			return info
		}
	}
	return nil
}

func (e *editing) patch(was, now *resource.Info) error {
	before, err := runtime.Encode(unstructured.UnstructuredJSONScheme, was.Object)
	if err != nil {
		return err
	}
	if err := util.CreateOrUpdateAnnotation(cmdutil.GetFlagBool(e.flags, cmdutil.ApplyAnnotationsFlag), now.Object, scheme.DefaultJSONEncoder()); err != nil {
		return err
	}
	after, err := runtime.Encode(unstructured.UnstructuredJSONScheme, now.Object)
	if err != nil {
		return err
	}
	if bytes.Equal(before, after) {
		return e.report(now, "skipped")
	}
	kind, patch, err := editPatch(was, before, after)
	if err != nil {
		return err
	}
	if cmdutil.GetFlagBool(e.flags, "output-patch") {
		fmt.Fprintf(e.c.streams.Out, "Patch: %s\n", patch)
	}
	validation, err := cmdutil.GetValidationDirective(e.flags)
	if err != nil {
		return err
	}
	client, err := e.f.UnstructuredClientForMapping(was.Mapping)
	if err != nil {
		return err
	}
	helper := resource.NewHelper(client, was.Mapping).WithFieldManager(e.text("field-manager")).
		WithFieldValidation(validation).WithSubresource(e.text("subresource"))
	patched, err := helper.Patch(was.Namespace, was.Name, kind, patch, nil)
	if err != nil {
		return err
	}
	_ = now.Refresh(patched, true)
	return e.report(now, "edited")
}

// editPatch is what upstream sends: strategic for kinds that are compiled in.
func editPatch(was *resource.Info, before, after []byte) (types.PatchType, []byte, error) {
	same := []mergepatch.PreconditionFunc{
		mergepatch.RequireKeyUnchanged("apiVersion"), mergepatch.RequireKeyUnchanged("kind"),
		mergepatch.RequireMetadataKeyUnchanged("name"), mergepatch.RequireKeyUnchanged("managedFields"),
	}
	known, err := scheme.Scheme.New(was.Mapping.GroupVersionKind)
	var patch []byte
	kind := types.MergePatchType
	if err == nil {
		kind = types.StrategicMergePatchType
		patch, err = strategicpatch.CreateTwoWayMergePatch(before, after, known, same...)
	} else {
		patch, err = jsonmergepatch.CreateThreeWayJSONMergePatch(before, after, before, same...)
	}
	if mergepatch.IsPreconditionFailed(err) {
		return kind, nil, errors.New("at least one of apiVersion, kind and name was changed")
	}
	return kind, patch, err
}

func (e *editing) report(info *resource.Info, what string) error {
	flags := genericclioptions.NewPrintFlags(what).WithTypeSetter(scheme.Scheme)
	output := e.text("output")
	flags.OutputFormat = &output
	printer, err := flags.ToPrinter()
	if err != nil {
		return err
	}
	return printer.PrintObj(info.Object, e.c.streams.Out)
}
