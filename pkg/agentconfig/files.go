package agentconfig

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"github.com/towline/towline/pkg/strictyaml"
)

// Files are a config.yaml and the towline.yaml beside it, of the same commit or
// the same moment.
type Files struct {
	// Name is how config.yaml is called in faults, notices and entries;
	// towline.yaml is called by BesideName of it.
	Name    string
	Content []byte
	// Towline is the content of towline.yaml; empty when there is none.
	Towline []byte
}

// Revision identifies the content of both files: a SHA-256 in hexadecimal. Of a
// config.yaml alone it is that file's.
func (f Files) Revision() string {
	if len(f.Towline) == 0 {
		return Revision(f.Content)
	}
	h := sha256.New()
	h.Write([]byte(TowlineFileName + " " + strconv.Itoa(len(f.Content)) + "\n")) // so that no two pairs run together
	h.Write(f.Content)
	h.Write(f.Towline)
	return hex.EncodeToString(h.Sum(nil))
}

// Parse reads both files and reports everything wrong with either at once, as
// a strictyaml.Faults. A Config is made of both or not at all.
func (f Files) Parse(opts Options) (*Config, []strictyaml.Notice, error) {
	cfg, notices, err := Parse(f.Name, f.Content, opts)
	if len(f.Towline) == 0 {
		return cfg, notices, err
	}
	t, more, terr := ParseTowline(BesideName(f.Name), f.Towline)
	notices = append(notices, more...)
	if err != nil || terr != nil {
		return nil, notices, append(faultsOf(err), faultsOf(terr)...)
	}
	cfg.Towline = *t
	return cfg, append(notices, unrelated(cfg)...), nil
}

func faultsOf(err error) strictyaml.Faults {
	var f strictyaml.Faults
	errors.As(err, &f) // the parsers return nothing else
	return f
}

// BesideName is the name of the towline.yaml beside a config.yaml.
func BesideName(name string) string {
	i := strings.LastIndexAny(name, "/\\:")
	return name[:i+1] + TowlineFileName
}

// unrelated names what towline.yaml refines and config.yaml does not let in.
func unrelated(cfg *Config) []strictyaml.Notice {
	var out []strictyaml.Notice
	ci := cfg.CIAccess
	if ci.Instance != nil {
		return nil
	}
	for _, r := range cfg.Towline.Refine {
		for _, p := range r.For.Projects {
			if _, ok := cfg.Match(Subject{Project: p}); !ok && len(out) < strictyaml.MaxNotices {
				out = append(out, strictyaml.Notice{
					File: r.File, Line: r.Line, Column: r.Column, Key: r.Key + ".for.projects",
					Text: "no entry of config.yaml lets " + p + " in, unless it is the agent's own project; check the spelling",
				})
			}
		}
	}
	return out
}
