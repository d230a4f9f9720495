package lint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/rules"
	"github.com/towline/towline/pkg/strictyaml"
)

// result is what came out of some files.
type result struct {
	files   []string
	faults  strictyaml.Faults
	notices []strictyaml.Notice
}

func (r *result) add(o result) {
	r.files = append(r.files, o.files...)
	r.faults = append(r.faults, o.faults...)
	r.notices = append(r.notices, o.notices...)
}

// of turns a parser's error into faults. Another error is one of reading.
func of(files []string, notices []strictyaml.Notice, err error) (result, error) {
	r := result{files: files, notices: notices}
	if err != nil && !errors.As(err, &r.faults) {
		return result{}, err
	}
	return r, nil
}

// agents is where GitLab keeps the configurations of a project's agents.
var agents = filepath.Join(".gitlab", "agents")

// path checks a file or directory; the error says why it cannot be read.
func path(name string) (result, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return result{}, fmt.Errorf("%s: no such file or directory", name)
	case err != nil:
		return result{}, err
	case info.IsDir():
		return directory(name)
	}
	switch filepath.Base(name) {
	case agentconfig.FileName, agentconfig.TowlineFileName:
		return configuration(filepath.Dir(name), filepath.Base(name))
	default:
		return ownerRules(name)
	}
}

// directory checks the agents of a project, one agent's files, or rules.
func directory(dir string) (result, error) {
	if found, err := os.ReadDir(filepath.Join(dir, agents)); err == nil {
		var all result
		for _, e := range found {
			agent := filepath.Join(dir, agents, e.Name())
			if !e.IsDir() || !exists(agent, agentconfig.FileName) && !exists(agent, agentconfig.TowlineFileName) {
				continue
			}
			r, err := configuration(agent, "")
			if err != nil {
				return result{}, err
			}
			all.add(r)
		}
		if len(all.files) > 0 {
			return all, nil
		}
	}
	if exists(dir, agentconfig.FileName) || exists(dir, agentconfig.TowlineFileName) {
		return configuration(dir, "")
	}
	r, err := ownerRules(dir)
	if errors.Is(err, rules.ErrMissing) {
		return result{}, fmt.Errorf("%s: nothing to check; it has no %s, no %s, no %s and no rules in files that end in .yaml",
			dir, filepath.Join(agents, "<name>"), agentconfig.FileName, agentconfig.TowlineFileName)
	}
	return r, err
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// configuration checks an agent's files, or only the one that is named.
func configuration(dir, only string) (result, error) {
	f := agentconfig.Files{Name: filepath.Join(dir, agentconfig.FileName)}
	var names []string
	for _, file := range []struct {
		name string
		into *[]byte
	}{{agentconfig.FileName, &f.Content}, {agentconfig.TowlineFileName, &f.Towline}} {
		if only != "" && only != file.name || !exists(dir, file.name) {
			continue
		}
		name := filepath.Join(dir, file.name)
		content, err := agentconfig.ReadFile(name)
		if err != nil {
			return result{}, err
		}
		*file.into = content
		names = append(names, name)
	}
	if f.Content == nil && f.Towline != nil { // what it refines is not known
		_, notices, err := agentconfig.ParseTowline(filepath.Join(dir, agentconfig.TowlineFileName), f.Towline)
		return of(names, notices, err)
	}
	// A token may stand in a local file, never in one that GitLab reads.
	inGitLab := strings.Contains(filepath.ToSlash(dir)+"/", ".gitlab/agents/")
	_, notices, err := f.Parse(agentconfig.Options{AllowToken: !inGitLab})
	return of(names, notices, err)
}

func ownerRules(name string) (result, error) {
	files, err := rules.Read(name)
	if err != nil {
		return result{}, err
	}
	names := make([]string, len(files))
	for i := range files {
		names[i] = files[i].Name
	}
	_, err = rules.Parse(files...)
	return of(names, nil, err)
}
