package git

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/config"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/spf13/pflag"
)

// setting is a value of -c, of the repository or of the job's home.
func (c *command) setting(key string) (string, bool) {
	if value, ok := c.settings[strings.ToLower(key)]; ok {
		return value, true
	}
	for _, file := range []string{c.configFile(false), c.configFile(true)} {
		if cfg, err := readConfig(file); err == nil {
			if value, ok := lookup(cfg, key); ok {
				return value, true
			}
		}
	}
	return "", false
}

func (c *command) configFile(global bool) string {
	if global {
		home, _ := c.inv.Getenv("HOME")
		return filepath.Join(home, ".gitconfig")
	}
	return filepath.Join(c.root, ".git", "config")
}

func readConfig(file string) (*config.Config, error) {
	cfg := config.New()
	f, err := os.Open(file)
	if err != nil {
		return cfg, err
	}
	defer f.Close()
	return cfg, config.NewDecoder(f).Decode(cfg)
}

// parts divides a key: section, subsection and name.
func parts(key string) (section, subsection, name string) {
	begin, end := strings.IndexByte(key, '.'), strings.LastIndexByte(key, '.')
	if begin < 0 {
		return "", "", ""
	}
	if begin < end {
		subsection = key[begin+1 : end]
	}
	return key[:begin], subsection, key[end+1:]
}

func lookup(cfg *config.Config, key string) (string, bool) {
	section, sub, name := parts(key)
	if !cfg.HasSection(section) {
		return "", false
	}
	options := cfg.Section(section).Options
	if sub != "" {
		options = cfg.Section(section).Subsection(sub).Options
	}
	return options.Get(name), options.Has(name)
}

func (c *command) config(_ context.Context, args []string) error {
	var get, global, local, unset, list, add, replace bool
	operands, _, err := c.configFlags(args, func(f *pflag.FlagSet) {
		f.BoolVar(&get, "get", false, "")
		f.BoolVar(&global, "global", false, "")
		f.BoolVar(&local, "local", false, "")
		f.BoolVar(&unset, "unset", false, "")
		f.BoolVar(&add, "add", false, "")
		f.BoolVar(&replace, "replace-all", false, "")
		f.BoolVarP(&list, "list", "l", false, "")
	}, slices.Contains(args, "--global"))
	if err != nil {
		return err
	}
	file := c.configFile(global)
	cfg, err := readConfig(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if list {
		printConfig(c, cfg)
		return nil
	}
	section, sub, name := parts(first(operands))
	if name == "" {
		return exit{exitUsage, fmt.Sprintf("error: key does not contain a section: %s", first(operands))}
	}
	switch {
	case add && len(operands) == 2:
		cfg.AddOption(section, sub, name, operands[1])
	case unset:
		if sub == "" {
			cfg.Section(section).RemoveOption(name)
		} else {
			cfg.Section(section).Subsection(sub).RemoveOption(name)
		}
	case len(operands) == 2 && !get: // which replaces all there are
		cfg.SetOption(section, sub, name, operands[1])
	default:
		value, ok := lookup(cfg, operands[0])
		if !global && !local {
			value, ok = c.setting(operands[0])
		}
		if !ok {
			return exit{exitDifferent, ""}
		}
		fmt.Fprintln(c.inv.Stdout, value)
		return nil
	}
	return writeConfig(file, cfg)
}

// configFlags needs no repository for the job's own settings.
func (c *command) configFlags(args []string, define func(*pflag.FlagSet), global bool) (operands, paths []string, err error) {
	operands, paths, err = c.flags("config", args, define)
	if c.repo == nil && global {
		f := pflag.NewFlagSet("config", pflag.ContinueOnError)
		define(f)
		err = f.Parse(args)
		return f.Args(), nil, err
	}
	return operands, paths, err
}

func printConfig(c *command, cfg *config.Config) {
	for _, s := range cfg.Sections {
		for _, o := range s.Options {
			fmt.Fprintf(c.inv.Stdout, "%s.%s=%s\n", strings.ToLower(s.Name), strings.ToLower(o.Key), o.Value)
		}
		for _, sub := range s.Subsections {
			for _, o := range sub.Options {
				fmt.Fprintf(c.inv.Stdout, "%s.%s.%s=%s\n", strings.ToLower(s.Name), sub.Name, strings.ToLower(o.Key), o.Value)
			}
		}
	}
}

func writeConfig(file string, cfg *config.Config) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".config-")
	if err != nil {
		return err
	}
	err = config.NewEncoder(f).Encode(cfg)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	return err
}

func (c *command) initialise(_ context.Context, args []string) error {
	f := pflag.NewFlagSet("init", pflag.ContinueOnError)
	branch := f.StringP("initial-branch", "b", "master", "")
	quiet := f.BoolP("quiet", "q", false, "")
	f.SetOutput(c.inv.Stderr)
	if err := f.Parse(args); err != nil {
		return exit{exitUsage, "error: git init: " + err.Error()}
	}
	dir := c.inv.Path(first(f.Args()))
	if dir == "" {
		dir = c.inv.Dir
	}
	_, err := gogit.PlainInitWithOptions(dir, &gogit.PlainInitOptions{
		InitOptions: gogit.InitOptions{DefaultBranch: plumbing.NewBranchReferenceName(*branch)},
	})
	if err == nil && !*quiet {
		fmt.Fprintf(c.inv.Stdout, "Initialized empty Git repository in %s/\n", filepath.Join(dir, ".git"))
	}
	return err
}

// newTag makes a tag, an annotated one if there is a message.
func (c *command) newTag(operands []string, message string, force bool) error {
	commit, err := c.commitAt(orHead(first(operands[1:])))
	if err != nil {
		return err
	}
	name := plumbing.NewTagReferenceName(operands[0])
	if _, err := c.repo.Reference(name, false); err == nil {
		if !force {
			return fatal("tag '%s' already exists", operands[0])
		}
		if err := c.repo.Storer.RemoveReference(name); err != nil {
			return err
		}
	}
	var opts *gogit.CreateTagOptions
	if message != "" {
		var who *object.Signature
		if who, err = c.person("COMMITTER", ""); err != nil {
			return err
		}
		opts = &gogit.CreateTagOptions{Tagger: who, Message: message + "\n"}
	}
	_, err = c.repo.CreateTag(operands[0], commit.Hash, opts)
	return err
}
