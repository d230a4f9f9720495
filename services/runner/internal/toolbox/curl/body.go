package curl

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// maxBody bounds a body that has to be kept in memory: data and forms, which
// retries and redirects send again. Uploads are streamed.
const maxBody = 256 << 20

// body is what a request carries.
type body struct {
	bytes       []byte
	file        string // streamed instead, "-" for standard input
	contentType string
	present     bool
}

// body puts the data, form or upload options together.
func (o *options) body(inv tool.Invocation) (body, error) {
	switch {
	case o.upload != "":
		return body{file: o.upload, present: true}, nil
	case len(o.forms) > 0:
		return o.form(inv)
	case len(o.data) == 0:
		return body{}, nil
	}
	var b bytes.Buffer
	for i, d := range o.data {
		part, err := d.read(inv)
		if err != nil {
			return body{}, err
		}
		if i > 0 && d.kind != "json" {
			b.WriteByte('&')
		}
		b.Write(part)
	}
	kind := "application/x-www-form-urlencoded"
	if o.json {
		kind = ""
	}
	return body{bytes: b.Bytes(), contentType: kind, present: true}, nil
}

// read gives the bytes of one data option.
func (d datum) read(inv tool.Invocation) ([]byte, error) {
	switch d.kind {
	case "data-raw":
		return []byte(d.value), nil
	case "data-urlencode":
		return d.encoded(inv)
	}
	name, fromFile := strings.CutPrefix(d.value, "@")
	if !fromFile {
		return []byte(d.value), nil
	}
	text, err := readFile(inv, name)
	if d.kind == "data" || d.kind == "data-ascii" {
		text = []byte(strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(string(text)))
	}
	return text, err
}

// encoded understands content, =content, name=content, @file and name@file.
func (d datum) encoded(inv tool.Invocation) ([]byte, error) {
	at := strings.IndexAny(d.value, "=@")
	if at < 0 {
		return []byte(escape(d.value)), nil
	}
	name, content := d.value[:at], d.value[at+1:]
	if d.value[at] == '@' {
		text, err := readFile(inv, content)
		if err != nil {
			return nil, err
		}
		content = string(text)
	}
	if name != "" {
		name += "="
	}
	return []byte(name + escape(content)), nil
}

func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

func readFile(inv tool.Invocation, name string) ([]byte, error) {
	var in io.Reader = inv.Stdin
	if name != "-" {
		f, err := os.Open(inv.Path(name))
		if err != nil {
			return nil, failure{exitRead, fmt.Sprintf("Failed to open %s", name)}
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxBody+1))
	if err == nil && len(text) > maxBody {
		err = fmt.Errorf("%s has more than %d bytes: use -T to send it as a stream", name, maxBody)
	}
	return text, err
}

// form builds a multipart body.
func (o *options) form(inv tool.Invocation) (body, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, spec := range o.forms {
		spec, literal := strings.CutPrefix(spec, "\x00")
		name, value, ok := strings.Cut(spec, "=")
		if !ok {
			return body{}, failure{exitUsage, "Illegally formatted input field"}
		}
		if err := addPart(w, inv, name, value, literal); err != nil {
			return body{}, err
		}
	}
	if err := w.Close(); err != nil {
		return body{}, err
	}
	return body{bytes: b.Bytes(), contentType: w.FormDataContentType(), present: true}, nil
}

func addPart(w *multipart.Writer, inv tool.Invocation, name, value string, literal bool) error {
	header := textproto.MIMEHeader{}
	disposition := map[string]string{"name": name}
	content := []byte(value)
	if !literal {
		parts := strings.Split(value, ";")
		file := ""
		if value != "" && (value[0] == '@' || value[0] == '<') {
			file = parts[0][1:]
		}
		content = []byte(parts[0])
		if file != "" {
			var err error
			if content, err = readFile(inv, file); err != nil {
				return err
			}
		}
		if file != "" && value[0] == '@' {
			disposition["filename"] = filepath.Base(file)
			header.Set("Content-Type", typeOf(file))
		}
		for _, p := range parts[1:] {
			switch key, v, _ := strings.Cut(strings.TrimSpace(p), "="); key {
			case "type":
				header.Set("Content-Type", v)
			case "filename":
				disposition["filename"] = strings.Trim(v, `"`)
			}
		}
	}
	text := fmt.Sprintf(`form-data; name="%s"`, quoted(disposition["name"]))
	if file, ok := disposition["filename"]; ok {
		text += fmt.Sprintf(`; filename="%s"`, quoted(file))
	}
	header.Set("Content-Disposition", text)
	part, err := w.CreatePart(header)
	if err != nil {
		return err
	}
	_, err = part.Write(content)
	return err
}

func quoted(s string) string {
	return strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A").Replace(s)
}

func typeOf(file string) string {
	switch kind := mime.TypeByExtension(filepath.Ext(file)); {
	case strings.HasPrefix(kind, "text/plain"):
		return "text/plain"
	case strings.HasSuffix(file, ".json"), kind == "":
		return "application/octet-stream"
	default:
		kind, _, _ = strings.Cut(kind, ";")
		return kind
	}
}
