package sops

import (
	"bytes"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// marker is in every file that SOPS has encrypted.
var marker = []byte("ENC[AES256_GCM,")

// IsEncrypted says whether a text looks as if SOPS had made it, in whichever
// format.
func IsEncrypted(content []byte) bool {
	return bytes.Contains(content, marker) && bytes.Contains(content, []byte(section))
}

// IsEncryptedSecret says whether a text holds a Secret or ConfigMap of
// Kubernetes with a section of SOPS', which neither has. Other kinds may have
// one that a controller reads.
func IsEncryptedSecret(content []byte) bool {
	docs, err := parse(content)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(docs, func(doc *yaml.Node) bool {
		var o struct {
			Kind string    `yaml:"kind"`
			SOPS yaml.Node `yaml:"sops"`
		}
		kind := doc.Decode(&o) == nil && (o.Kind == "Secret" || o.Kind == "ConfigMap" || encrypted.MatchString(o.Kind))
		return kind && o.SOPS.Kind == yaml.MappingNode
	})
}

// File is a decrypted file. It is YAML, whatever it was before.
type File struct {
	Content []byte
	Values  []string // those that were encrypted, to be kept out of messages
}

// Decrypt decrypts a file that IsEncrypted. literal, if given, is applied to
// each text that was encrypted. An error begins with the line if it is about
// one, and shows no value.
func (k Keys) Decrypt(content []byte, literal func(string) string) (*File, error) {
	docs, err := parse(content)
	if err != nil {
		return nil, err
	}
	m, err := takeMetadata(docs)
	if err != nil {
		return nil, err
	}
	d := decryption{mac: sha512.New(), onlyEncrypted: m.MACOnlyEncrypted, literal: literal}
	if d.rule, err = m.rule(); err != nil {
		return nil, err
	}
	if d.key, err = k.dataKey(m.Age); err != nil {
		return nil, err
	}
	if m.MACOnlyEncrypted {
		d.mac.Write(onlyEncryptedPrefix)
	}
	for _, doc := range docs {
		if err := d.walk(doc.Content[0], nil); err != nil {
			return nil, err
		}
	}
	if err := d.authentic(m); err != nil {
		return nil, err
	}
	return d.encode(docs)
}

// maxDocuments bounds the documents of a file.
const maxDocuments = 10_000

func parse(content []byte) ([]*yaml.Node, error) {
	var docs []*yaml.Node
	for dec := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var n yaml.Node
		err := dec.Decode(&n)
		switch {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return nil, fmt.Errorf("not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		case len(docs) == maxDocuments:
			return nil, fmt.Errorf("more than %d documents", maxDocuments)
		case len(n.Content) != 1:
			continue
		}
		docs = append(docs, &n)
	}
}

// takeMetadata takes the section sops out of every document; SOPS writes the
// same into each.
func takeMetadata(docs []*yaml.Node) (*metadata, error) {
	var m *metadata
	for _, doc := range docs {
		root := doc.Content[0]
		if root.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(root.Content); i += 2 {
			if root.Content[i].Value != section {
				continue
			}
			if m == nil {
				m = &metadata{}
				if err := root.Content[i+1].Decode(m); err != nil {
					return nil, errors.New("its section sops cannot be read; encrypt the file with sops again")
				}
			}
			root.Content = append(root.Content[:i:i], root.Content[i+2:]...)
			break
		}
	}
	switch {
	case m == nil:
		return nil, errors.New("it has encrypted values and no section sops; encrypt the file with sops again")
	case len(m.KeyGroups) > 0:
		return nil, errors.New("its key is divided among groups (key_groups), which is not supported; encrypt it for age keys alone")
	case len(m.Age) == 0:
		return nil, errors.New("it is not encrypted for an age key, and others are not supported; encrypt it with sops --age")
	case m.MAC == "":
		return nil, errors.New("it has no message authentication code, so that anybody may have changed it; encrypt the file with sops again")
	}
	return m, nil
}

// onlyEncryptedPrefix begins the code of files where it covers encrypted values
// only: the SHA-256 of "sops".
var onlyEncryptedPrefix = []byte{
	0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
	0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
}

// decryption is under way for one file.
type decryption struct {
	key           []byte
	rule          rule
	mac           hash.Hash
	onlyEncrypted bool
	literal       func(string) string
	values        []string
}

const maxDepth = 100

// walk decrypts what is below a node, in the order that SOPS has.
func (d *decryption) walk(n *yaml.Node, path []string) error {
	if len(path) > maxDepth {
		return fmt.Errorf("line %d: nested deeper than %d levels", n.Line, maxDepth)
	}
	n.HeadComment, n.LineComment, n.FootComment = "", "", "" // they may be encrypted, and nobody reads them
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			key.HeadComment, key.LineComment, key.FootComment = "", "", ""
			if err := d.walk(n.Content[i+1], append(path, key.Value)); err != nil {
				return err
			}
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if err := d.walk(item, path); err != nil {
				return err
			}
		}
	case yaml.ScalarNode:
		if err := d.scalar(n, path); err != nil {
			return fmt.Errorf("line %d: %s: %w", n.Line, strings.Join(path, "."), err)
		}
	default:
		return fmt.Errorf("line %d: aliases have no place in an encrypted file; encrypt it with sops again", n.Line)
	}
	return nil
}

// scalar decrypts a value in its place and counts it.
func (d *decryption) scalar(n *yaml.Node, path []string) error {
	var v any
	if err := n.Decode(&v); err != nil {
		return errors.New("it cannot be read")
	}
	if v == nil {
		return nil // SOPS leaves it out
	}
	secret := d.rule(path)
	if secret && v != "" {
		text, ok := v.(string)
		if !ok {
			return errNotEncrypted
		}
		plain, kind, err := open(d.key, text, strings.Join(path, ":")+":")
		if err != nil {
			return err
		}
		if v, err = known(plain, kind); err != nil {
			return err
		}
		d.values = append(d.values, plain)
		d.put(n, v)
	}
	if d.onlyEncrypted && !secret {
		return nil
	}
	counted, ok := authenticated(v)
	if !ok {
		return errors.New("SOPS has no such value")
	}
	d.mac.Write(counted)
	return nil
}

// put writes a decrypted value. A text is quoted, which keeps it a text and in
// one line.
func (d *decryption) put(n *yaml.Node, v any) {
	text, ok := v.(string)
	if !ok {
		var plain yaml.Node
		if plain.Encode(v) == nil {
			n.Tag, n.Value, n.Style = plain.Tag, plain.Value, plain.Style
		}
		return
	}
	if d.literal != nil {
		text = d.literal(text)
	}
	n.Tag, n.Value, n.Style = "!!str", text, yaml.DoubleQuotedStyle
}

// authentic compares the message authentication code.
func (d *decryption) authentic(m *metadata) error {
	want, _, err := open(d.key, m.MAC, m.LastModified)
	got := strings.ToUpper(hex.EncodeToString(d.mac.Sum(nil)))
	if err != nil || subtle.ConstantTimeCompare([]byte(want), []byte(got)) != 1 {
		return errors.New("its message authentication code is wrong: the file has been changed since sops encrypted it; edit it with sops")
	}
	return nil
}

func (d *decryption) encode(docs []*yaml.Node) (*File, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	for _, doc := range docs {
		if err := enc.Encode(doc); err != nil {
			return nil, errors.New("it cannot be written out")
		}
	}
	if err := enc.Close(); err != nil {
		return nil, errors.New("it cannot be written out")
	}
	return &File{Content: out.Bytes(), Values: d.values}, nil
}
