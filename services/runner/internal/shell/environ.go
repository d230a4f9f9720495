package shell

import (
	"os"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/expand"
)

// bashVersion is the bash whose behaviour scripts may count on.
const bashVersion = "5.2.15(1)-release"

// environ is what a shell starts with: the exported variables, and those that
// bash sets itself.
type environ struct {
	expand.Environ
	began time.Time
	own   map[string]expand.Variable
}

func newEnviron(list []string) *environ {
	text := func(value string) expand.Variable {
		return expand.Variable{Set: true, Kind: expand.String, Str: value}
	}
	host, _ := os.Hostname()
	e := &environ{Environ: expand.ListEnviron(list...), began: time.Now(), own: map[string]expand.Variable{
		"BASH":          text("/bin/bash"),
		"BASH_VERSION":  text(bashVersion),
		"BASH_VERSINFO": {Set: true, Kind: expand.Indexed, List: []string{"5", "2", "15", "1", "release", "x86_64-pc-linux-gnu"}},
		"HOSTNAME":      text(host),
		"OSTYPE":        text("linux-gnu"),
		"PS4":           text("+ "),
		emptyVariable:   text(""),
		starVariable:    text("*"),
	}}
	if !e.Environ.Get("HOME").IsSet() {
		e.own["HOME"] = text("/")
	}
	return e
}

// Get returns a variable.
func (e *environ) Get(name string) expand.Variable {
	if v := e.Environ.Get(name); v.IsSet() {
		return v
	}
	switch name {
	case "SECONDS":
		return expand.Variable{Set: true, Kind: expand.String, Str: strconv.Itoa(int(time.Since(e.began).Seconds()))}
	case "EPOCHSECONDS":
		return expand.Variable{Set: true, Kind: expand.String, Str: strconv.FormatInt(time.Now().Unix(), 10)}
	}
	return e.own[name]
}

// Each calls fn for every variable until it returns false.
func (e *environ) Each(fn func(string, expand.Variable) bool) {
	for name, v := range e.own {
		if !fn(name, v) {
			return
		}
	}
	e.Environ.Each(fn)
}

// exported lists the exported variables as KEY=value.
func exported(env expand.Environ) []string {
	at := map[string]int{}
	var out []string
	for name, v := range env.Each {
		i, known := at[name]
		keep := v.Exported && v.IsSet() && v.Kind == expand.String && !strings.HasPrefix(name, ourPrefix)
		switch {
		case keep && known && i >= 0:
			out[i] = name + "=" + v.Str
		case keep:
			at[name] = len(out)
			out = append(out, name+"="+v.Str)
		case known && i >= 0:
			// A later scope has unset it or keeps it to itself.
			at[name], out[i] = -1, ""
		}
	}
	kept := out[:0]
	for _, entry := range out {
		if entry != "" {
			kept = append(kept, entry)
		}
	}
	return kept
}
