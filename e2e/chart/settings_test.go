package chart

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/pkg/rules"
)

var optionName = regexp.MustCompile(`^[a-z][a-z0-9-]+$`)

// selfCheck is a command of the runner's binary, with options of its own.
const selfCheck = "selfcheck"

// settings are a service's options by name, each with the method that binds it
// (String, Duration, ...), as its source has them; or those of selfCheck.
func settings(t *testing.T, service string) map[string]string {
	t.Helper()
	dir := service
	if service == selfCheck {
		dir = "runner"
	}
	own, err := filepath.Glob(filepath.Join(root, "services", dir, "internal", "app", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := slices.DeleteFunc(own, func(f string) bool { return (filepath.Base(f) == selfCheck+".go") != (service == selfCheck) })
	shared, err := filepath.Glob(filepath.Join(root, "pkg", "redislink", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	if service != "policy" { // which has nothing to do with Redis
		files = append(files, shared...)
	}
	found := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if name, method := option(n); name != "" {
				found[name] = method
			}
			return true
		})
	}
	if len(found) < 5 {
		t.Fatalf("%s: only %d options found: this test no longer knows how they are bound", service, len(found))
	}
	return found
}

// option reads s.String(&c.field, "name", ...).
func option(n ast.Node) (name, method string) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 3 {
		return "", ""
	}
	binder, isMethod := call.Fun.(*ast.SelectorExpr)
	text, isText := call.Args[1].(*ast.BasicLit)
	if !isMethod || !isText || text.Kind != token.STRING {
		return "", ""
	}
	name, err := strconv.Unquote(text.Value)
	if err != nil || !optionName.MatchString(name) || !slices.Contains([]string{"String", "List", "Int", "Int64", "Bool", "Duration"}, binder.Sel.Name) {
		return "", ""
	}
	return name, binder.Sel.Name
}

func TestArgumentsAreOptionsOfTheServices(t *testing.T) {
	known := map[string]map[string]string{}
	for _, s := range services {
		known[s] = settings(t, s)
	}
	eachCombination(t, func(t *testing.T, r rendered) {
		for _, s := range services {
			c := deployment(t, r, s).Spec.Template.Spec.Containers[0]
			c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool { return !strings.HasPrefix(e.Name, "TOWLINE_") }) // Go's own and proxies
			var seen []string
			for _, arg := range c.Args {
				name, value, ok := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
				if !ok || value == "" {
					t.Errorf("%s: %q: want --name=value", s, arg)
				}
				if slices.Contains(seen, name) {
					t.Errorf("%s: --%s is given twice", s, name)
				}
				seen = append(seen, name)
				checkValue(t, s, arg, known[s][name], value)
			}
			checkEnvironment(t, s, c, known[s], seen)
		}
	})
}

// inside are options that are no values, with the reason.
var inside = map[string]string{
	"tunnel --config":     "a place of the token in a local file; the chart takes it from a Secret",
	"policy --kubeconfig": "a pod has its ServiceAccount",
	"runner --kubeconfig": "a pod has its ServiceAccount",
}

// Every option can be set by a value: some combination gives it to its service.
func TestOptionsAreValuesOfTheChart(t *testing.T) {
	given := map[string]bool{}
	for _, documents := range combinations {
		r := render(t, documents)
		for _, s := range services {
			c := deployment(t, r, s).Spec.Template.Spec.Containers[0]
			for _, arg := range c.Args {
				name, _, _ := strings.Cut(arg, "=")
				given[s+" "+name] = true
			}
			for _, e := range c.Env {
				if option, ok := strings.CutPrefix(e.Name, "TOWLINE_"); ok {
					given[s+" --"+strings.ReplaceAll(strings.ToLower(option), "_", "-")] = true
				}
			}
		}
	}
	for _, s := range services {
		for option := range settings(t, s) {
			name := s + " --" + option
			if reason := inside[name]; given[name] == (reason != "") {
				t.Errorf("%s is given by a combination in ci: %t, and the reason why there is no value for it: %q", name, given[name], reason)
			}
		}
	}
}

func checkValue(t *testing.T, service, arg, kind, value string) {
	t.Helper()
	var err error
	switch kind {
	case "":
		t.Errorf("%s has no option %s", service, arg)
	case "String", "List":
	case "Int", "Int64":
		_, err = strconv.ParseInt(value, 10, 64)
	case "Bool":
		_, err = strconv.ParseBool(value)
	case "Duration":
		_, err = time.ParseDuration(value)
	default:
		t.Fatalf("%s: options are bound by %s, which this test does not know", service, kind)
	}
	if err != nil {
		t.Errorf("%s: %s: %v", service, arg, err)
	}
}

func checkEnvironment(t *testing.T, service string, c corev1.Container, known map[string]string, args []string) {
	t.Helper()
	for _, e := range c.Env {
		option := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(e.Name, "TOWLINE_")), "_", "-")
		if known[option] == "" {
			t.Errorf("%s has no option for %s", service, e.Name)
		}
		if slices.Contains(args, option) {
			t.Errorf("%s: %s has no effect beside --%s", service, e.Name, option)
		}
	}
}

// Options whose default is no use in a pod have to be given.
func TestServicesGetWhatTheyCannotDoWithout(t *testing.T) {
	local := map[string][]string{
		"tunnel": {"gitlab-url", "agent", "token-file", "seal-key-file", "policy-url"},
		"policy": {"agent", "callers", "signing-key-file"},
		"runner": {"seal-key-file", "policy-url", "egress-address", "work-dir"},
	}
	eachCombination(t, func(t *testing.T, r rendered) {
		for _, s := range services {
			c := deployment(t, r, s).Spec.Template.Spec.Containers[0]
			for _, option := range local[s] {
				flag, env := "--"+option+"=", "TOWLINE_"+strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
				if !gives(c, flag, env) {
					t.Errorf("%s gets no %s", s, option)
				}
			}
			if s != "policy" && !gives(c, "--redis-addresses=", "TOWLINE_REDIS_URL") {
				t.Errorf("%s does not know where Redis is", s)
			}
		}
	})
}

// gives says whether a container gets an option in one of its two ways.
func gives(c corev1.Container, flag, env string) bool {
	return slices.ContainsFunc(c.Args, func(a string) bool { return strings.HasPrefix(a, flag) }) ||
		slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == env })
}

// What the chart makes of the owner's rules is what both services read.
func TestRulesArriveAndAreGood(t *testing.T) {
	r := render(t, combinations["rules-of-the-owner"])
	content := find[corev1.ConfigMap](t, r, "ConfigMap/towline-rules").Data["rules.yaml"]
	s, err := rules.Parse(rules.File{Name: "rules.yaml", Content: []byte(content)})
	if err != nil || s.Len() != 4 {
		t.Errorf("%v\n%s", err, content)
	}
	for _, service := range []string{"policy", "runner"} {
		pod := deployment(t, r, service).Spec.Template.Spec
		if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.ConfigMap != nil && v.ConfigMap.Name == "towline-rules" }) ||
			!slices.ContainsFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/etc/towline/rules" }) {
			t.Errorf("%s does not get the rules", service)
		}
	}
}
