package tmpdir

import (
	"path"
	"slices"
	"strings"
)

// shared is the directory that jobs do not share.
const shared = "/tmp"

// Dir is the /tmp of one job. The zero Dir leaves everything as it is.
type Dir struct {
	own  string
	keep []string
}

// New lets own stand for /tmp. Paths inside keep, the job's real directories,
// are left alone, also where these lie below /tmp themselves.
func New(own string, keep ...string) Dir { return Dir{own: own, keep: append(keep, own)} }

// Path is where a path of the script really is.
func (d Dir) Path(p string) string {
	if d.own == "" || !strings.HasPrefix(p, shared) {
		return p
	}
	clean := path.Clean(p)
	if clean != shared && !strings.HasPrefix(clean, shared+"/") || slices.ContainsFunc(d.keep, func(k string) bool { return within(clean, k) }) {
		return p
	}
	mapped := d.own + strings.TrimPrefix(clean, shared)
	if strings.HasSuffix(p, "/") {
		mapped += "/"
	}
	return mapped
}

func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// Environ maps the values that are paths, or lists of paths as PATH is one.
func (d Dir) Environ(environ []string) []string {
	return mapped(environ, func(_ int, variable string) string {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(value, "/") {
			return variable
		}
		list := strings.Split(value, ":")
		for i := range list {
			list[i] = d.Path(list[i])
		}
		return name + "=" + strings.Join(list, ":")
	})
}

// pairFlags take key=path.
var pairFlags = []string{"--from-file", "--set-file"}

// remote are the commands whose arguments after -- are for another machine.
var remote = []string{"kubectl"}

// Args maps the arguments of a command: paths, --flag=path, @path and key=@path
// as curl has them, and key=path where the flag says so.
func (d Dir) Args(name string, args []string) []string {
	elsewhere := false
	return mapped(args, func(i int, arg string) string {
		elsewhere = elsewhere || arg == "--" && slices.Contains(remote, path.Base(name))
		switch flag, value, ok := strings.Cut(arg, "="); {
		case elsewhere:
			return arg
		case strings.HasPrefix(arg, "@"):
			return "@" + d.Path(arg[1:])
		case ok && slices.Contains(pairFlags, flag):
			return flag + "=" + d.pair(value)
		case ok && strings.HasPrefix(value, "@"):
			return flag + "=@" + d.Path(value[1:])
		case ok && strings.HasPrefix(flag, "-"):
			return flag + "=" + d.Path(value)
		case i > 0 && slices.Contains(pairFlags, args[i-1]):
			return d.pair(arg)
		}
		return d.Path(arg)
	})
}

// pair maps the path of key=path, or a path alone.
func (d Dir) pair(value string) string {
	key, file, ok := strings.Cut(value, "=")
	if !ok {
		return d.Path(value)
	}
	return key + "=" + d.Path(file)
}

// mapped returns the list itself where nothing changes.
func mapped(list []string, change func(int, string) string) []string {
	out := list
	for i, s := range list {
		if c := change(i, s); c != s {
			if &out[0] == &list[0] {
				out = slices.Clone(list)
			}
			out[i] = c
		}
	}
	return out
}
