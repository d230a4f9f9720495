package agentconfig

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/pkg/strictyaml"
)

// Options change what Parse accepts.
type Options struct {
	// AllowToken accepts agent.token, with a notice. It is meant for files on
	// local disk; GitLab's server refuses the section.
	AllowToken bool
}

var reading = strictyaml.Options{
	MaxBytes:       MaxFile,
	TooLarge:       "GitLab reads no larger file either; grant to groups instead of single projects",
	SecondDocument: "GitLab reads the first only",
	SecondKey:      "GitLab would silently use the last one",
}

// Parse reads a configuration file. name is how the file is called in faults,
// notices and entries. An empty or null file is an empty configuration. When
// anything is wrong the error is a strictyaml.Faults that lists all of it, and
// there is no Config. The notices are valid in both cases.
func Parse(name string, content []byte, opts Options) (*Config, []strictyaml.Notice, error) {
	root, notices, err := strictyaml.Parse(name, content, rules(opts), reading)
	if err != nil {
		return nil, notices, err
	}
	cfg := &Config{File: name}
	if faults := cfg.read(root); len(faults) > 0 {
		return nil, notices, faults.Sorted()
	}
	notices = append(notices, hopeless(cfg)...)
	return cfg, append(notices, unanchored(cfg)...), nil
}

func rules(opts Options) *schema {
	if !opts.AllowToken {
		return file
	}
	s := *file
	s.Keys = maps.Clone(file.Keys)
	s.Keys["agent"] = agentSection
	return &s
}

// hopeless names entries that can never match a project.
func hopeless(cfg *Config) []strictyaml.Notice {
	var out []strictyaml.Notice
	for _, list := range [][]Entry{cfg.CIAccess.Projects, cfg.CIAccess.Groups} {
		for _, e := range list {
			if strings.ContainsAny(e.ID, " \t:*\\") || strings.HasPrefix(e.ID, "/") || strings.HasSuffix(e.ID, "/") {
				out = append(out, strictyaml.Notice{
					File: e.File, Line: e.Line, Column: e.Column, Key: e.Key + ".id",
					Text: "matches no project: write the full path only, without host, slashes at the ends or patterns",
				})
			}
		}
	}
	return out[:min(len(out), strictyaml.MaxNotices)]
}

// unanchored says once for each file that GitLab reads patterns otherwise.
func unanchored(cfg *Config) []strictyaml.Notice {
	entries := slices.Concat(cfg.CIAccess.Projects, cfg.CIAccess.Groups)
	if i := cfg.CIAccess.Instance; i != nil {
		entries = append(entries, *i)
	}
	for _, e := range entries {
		for _, p := range e.Environments {
			if strings.Contains(p, "*") {
				return []strictyaml.Notice{{
					File: e.File, Line: e.Line, Column: e.Column, Key: e.Key + ".environments",
					Text: "Towline compares patterns with the whole name; GitLab does not, there " + strconv.Quote(p) + " also matches inside longer names",
				}}
			}
		}
	}
	return nil
}
