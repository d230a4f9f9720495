package shell

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"
)

// reader turns text into something that the interpreter can run. It remembers
// what the texts of one script declare and hide.
type reader struct {
	place string // begins messages
	line  func(uint) uint

	mu        sync.Mutex
	functions map[string]bool   // every function that a text declares
	maps      map[string]bool   // every associative array
	constants map[string]bool   // every variable that is made readonly
	pipes     bool              // PIPESTATUS is used
	uses      map[string][]uint // the lines of the script where a variable is used
	begun     bool              // the script itself was read
	required  map[string]bool   // the variables of ${name?message}
	inherit   bool              // command substitutions inherit errexit
	codes     int               // loops whose codes are kept
	anchors   int               // expansions that replace at the start or the end
	refs      int               // expansions of what a value names
	shown     map[string]string // what messages call the variables that stand for those
	loops     int               // declarations in loops of functions
	timed     int               // commands that time is for
	watches   bool              // commands say that they begin
	commands  []watched         // those that do, by number
	trapping  map[string]bool   // functions that may set a trap
	trapTexts map[string]string // what traps that were fitted were written as
	forked    []string          // texts of background commands, by number
	sources   int               // files read so far
	texts     map[string]string
	kept      int
}

func newReader(place string, line func(uint) uint) *reader {
	if line == nil {
		line = func(n uint) uint { return n }
	}
	return &reader{place: place, line: line, functions: map[string]bool{}, maps: map[string]bool{}, constants: map[string]bool{}, uses: map[string][]uint{}, required: map[string]bool{}, shown: map[string]string{}, trapTexts: map[string]string{}, trapping: map[string]bool{}, texts: map[string]string{}}
}

// declares says whether some text of the script has a function of that name.
func (r *reader) declares(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.functions[name]
}

// read parses a text, refuses what the interpreter would do wrongly, and fits
// the rest to it. name becomes $0, source what BASH_SOURCE says.
func (r *reader) read(text, name, source string) (*syntax.File, error) {
	file, _, err := r.fitted(text, name, &fitter{source: source})
	return file, err
}

// reread reads a text that the interpreter will parse itself, such as that of
// eval or, with its name, of source, and returns the text for it.
func (r *reader) reread(text, source string) (string, error) {
	return r.refitted(text, source, &fitter{source: source})
}

func (r *reader) refitted(text, name string, f *fitter) (string, error) {
	file, changed, err := r.fitted(text, name, f)
	if err != nil || !changed {
		return text, err
	}
	return printed(file), nil
}

// evaluated is reread for the text of eval in a line.
func (r *reader) evaluated(text string, line uint) (string, error) {
	return r.refitted(text, "", &fitter{offset: max(line, 1) - 1})
}

// trapped is reread for the text of a trap.
func (r *reader) trapped(text, event string) (string, error) {
	out, err := r.refitted(text, "", &fitter{event: event})
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trapTexts[out] = text
	return out, nil
}

// trapText is what a trap was written as. The caller may hold other locks.
func (r *reader) trapText(fitted string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text, ok := r.trapTexts[fitted]; ok {
		return text
	}
	return fitted
}

func (r *reader) fitted(text, name string, f *fitter) (file *syntax.File, changed bool, err error) {
	if file, err = r.parse(text, name); err != nil {
		return nil, false, err
	}
	if fault := inspect(file); fault != nil {
		return nil, false, fmt.Errorf("%s: line %d: %s", r.place, r.line(fault.line), fault.text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f.reader, f.conditional, f.recording = r, map[syntax.Node]bool{}, map[*syntax.BinaryCmd]bool{}
	return file, f.fit(file, text), nil
}

// keep holds a text for the interpreter, which asks for it by the path that is
// returned.
func (r *reader) keep(text string) (path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept++
	name := strconv.Itoa(r.kept)
	r.texts[name] = text
	return sourceDir + name
}

// take returns a text that is kept, once.
func (r *reader) take(name string) (text string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, ok = r.texts[name]
	delete(r.texts, name)
	return text, ok
}

func printed(node syntax.Node) string {
	var b strings.Builder
	if err := syntax.NewPrinter().Print(&b, node); err != nil {
		return ""
	}
	return b.String()
}

func (r *reader) parse(text, name string) (*syntax.File, error) {
	if len(text) > maxScript {
		return nil, fmt.Errorf("%s: the script has %d bytes, more than %d; put data into files", r.place, len(text), maxScript)
	}
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	file, err := parser.Parse(&boundedReader{r: strings.NewReader(text)}, name)
	if err == nil {
		return file, nil
	}
	var at syntax.ParseError
	var lang syntax.LangError
	switch {
	case errors.As(err, &at):
		return nil, fmt.Errorf("%s: line %d: syntax error: %s", r.place, r.line(at.Pos.Line()), at.Text)
	case errors.As(err, &lang):
		return nil, fmt.Errorf("%s: line %d: syntax error: %s is not supported", r.place, r.line(lang.Pos.Line()), lang.Feature)
	}
	return nil, fmt.Errorf("%s: syntax error: %w", r.place, err)
}
