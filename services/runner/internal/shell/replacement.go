package shell

import (
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// returned gives a return without a code that of the command before it.
func (f *fitter) returned(call *syntax.CallExpr) {
	if len(call.Args) == 1 && call.Args[0].Lit() == "return" {
		call.Args = append(call.Args, &syntax.Word{Parts: []syntax.WordPart{parameter("?")}})
		f.changed = true
	}
}

// replacement takes the backslashes out of the text of ${name/pattern/text}: the
// interpreter would print them.
func (f *fitter) replacement(p *syntax.ParamExp) {
	if p.Repl == nil || p.Repl.With == nil {
		return
	}
	for i, part := range p.Repl.With.Parts {
		if lit, ok := part.(*syntax.Lit); ok && strings.Contains(lit.Value, `\`) {
			text := backslashed.ReplaceAllString(lit.Value, "$1")
			p.Repl.With.Parts[i] = &syntax.SglQuoted{Dollar: true, Value: ansiQuoted.Replace(text)}
			f.changed = true
		}
	}
}

// required gives ${name?} and ${name:?} the message that they have under bash.
func (f *fitter) required(p *syntax.ParamExp) {
	if p.Exp == nil || p.Exp.Word != nil {
		return
	}
	if p.Exp.Op == syntax.ErrorUnset {
		p.Exp.Word, f.changed = quotedWord("parameter not set"), true
	} else if p.Exp.Op == syntax.ErrorUnsetOrNull {
		p.Exp.Word, f.changed = quotedWord("parameter null or not set"), true
	}
}

var (
	backslashed = regexp.MustCompile(`(?s)\\(.)`)
	ansiQuoted  = strings.NewReplacer(`\`, `\\`, "'", `\'`)
)
