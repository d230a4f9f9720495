package sops

import (
	"errors"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// section is the key under which a file says how it is encrypted.
const section = "sops"

type recipient struct {
	Recipient string `yaml:"recipient"`
	Enc       string `yaml:"enc"`
}

// metadata is what a file says of its encryption.
type metadata struct {
	Age               []recipient `yaml:"age"`
	KeyGroups         []yaml.Node `yaml:"key_groups"`
	LastModified      string      `yaml:"lastmodified"`
	MAC               string      `yaml:"mac"`
	UnencryptedSuffix string      `yaml:"unencrypted_suffix"`
	EncryptedSuffix   string      `yaml:"encrypted_suffix"`
	UnencryptedRegex  string      `yaml:"unencrypted_regex"`
	EncryptedRegex    string      `yaml:"encrypted_regex"`
	UnencryptedNotes  string      `yaml:"unencrypted_comment_regex"`
	EncryptedNotes    string      `yaml:"encrypted_comment_regex"`
	MACOnlyEncrypted  bool        `yaml:"mac_only_encrypted"`
}

// rule says of a path of keys whether its value is encrypted.
type rule func(path []string) bool

// defaultSuffix marks keys whose values are left as they are.
const defaultSuffix = "_unencrypted"

// rule is the one rule that a file may have.
func (m *metadata) rule() (rule, error) {
	if m.UnencryptedNotes != "" || m.EncryptedNotes != "" {
		return nil, errors.New("it chooses values by comments (encrypted_comment_regex, unencrypted_comment_regex), which is not supported; choose them by their keys (encrypted_regex)")
	}
	var rules []rule
	if s := m.UnencryptedSuffix; s != "" {
		rules = append(rules, except(hasSuffix(s)))
	}
	if s := m.EncryptedSuffix; s != "" {
		rules = append(rules, hasSuffix(s))
	}
	for _, expression := range []string{m.UnencryptedRegex, m.EncryptedRegex} {
		if expression == "" {
			continue
		}
		re, err := regexp.Compile(expression)
		if err != nil {
			return nil, errors.New("its encrypted_regex or unencrypted_regex is no regular expression")
		}
		r := anyKey(re.MatchString)
		if expression == m.UnencryptedRegex {
			r = except(r)
		}
		rules = append(rules, r)
	}
	switch len(rules) {
	case 0:
		return except(hasSuffix(defaultSuffix)), nil
	case 1:
		return rules[0], nil
	}
	return nil, errors.New("it has several rules for what is encrypted, of which SOPS allows one")
}

func anyKey(match func(string) bool) rule {
	return func(path []string) bool {
		for _, key := range path {
			if match(key) {
				return true
			}
		}
		return false
	}
}

func hasSuffix(suffix string) rule {
	return anyKey(func(key string) bool { return strings.HasSuffix(key, suffix) })
}

func except(r rule) rule { return func(path []string) bool { return !r(path) } }
