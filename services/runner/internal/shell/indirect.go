package shell

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Names of an expansion such as ${!name:-text}; each is followed by its number.
const (
	referCommand  = "__towline_refer"
	refVariable   = "__towline_ref_"   // stands for what the value of name names
	meantVariable = "__towline_meant_" // has it where that is no plain variable
	knownVariable = "__towline_known_" // is set when the value of name names anything
	whyVariable   = "__towline_why_"   // says why not
)

// referred makes of ${!name} and what follows the name an expansion of a variable
// that stands for the one meant; a command before the statement points it there.
// The interpreter would ignore what follows. Before each such expansion stands
// one that is empty, or fails where bash does: when the value names nothing.
func (f *fitter) referred(st *syntax.Stmt) []*syntax.Stmt {
	var words []*syntax.Word
	within(st, func(node syntax.Node) {
		if word, ok := node.(*syntax.Word); ok && hasIndirect(word.Parts) {
			words = append(words, word)
		}
	})
	if len(words) == 0 {
		return nil
	}
	var before []*syntax.Stmt
	if f.keepsCode(st) {
		before = append(before, saveCode())
	}
	for _, word := range words {
		var parts []syntax.WordPart
		for _, part := range word.Parts {
			inner := []syntax.WordPart{part}
			if quoted, ok := part.(*syntax.DblQuoted); ok {
				inner = quoted.Parts
			}
			for _, part := range inner {
				if p, ok := part.(*syntax.ParamExp); ok && isIndirect(p) {
					parts = append(parts, f.known())
					before = append(before, f.refer(st, p))
				}
			}
			parts = append(parts, part)
		}
		word.Parts = parts
	}
	f.changed = true
	return before
}

// apart takes the assignments of a statement apart, all but the last, when one
// uses what another one names.
func (f *fitter) apart(st *syntax.Stmt) []*syntax.Stmt {
	call, ok := st.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) > 0 || len(call.Assigns) < 2 {
		return nil
	}
	indirect := false
	for _, as := range call.Assigns {
		syntax.Walk(as, func(node syntax.Node) bool {
			word, ok := node.(*syntax.Word)
			indirect = indirect || ok && hasIndirect(word.Parts)
			return true
		})
	}
	if !indirect {
		return nil
	}
	var before []*syntax.Stmt
	last := len(call.Assigns) - 1
	for _, as := range call.Assigns[:last] {
		one := &syntax.Stmt{Position: as.Pos(), Cmd: &syntax.CallExpr{Assigns: []*syntax.Assign{as}}}
		before = append(append(before, f.before(one)...), one)
	}
	call.Assigns, f.changed = call.Assigns[last:], true
	return before
}

func hasIndirect(parts []syntax.WordPart) bool {
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.DblQuoted:
			if hasIndirect(part.Parts) {
				return true
			}
		case *syntax.ParamExp:
			if isIndirect(part) {
				return true
			}
		}
	}
	return false
}

// isIndirect says whether p is the value of what a value names: not the keys of
// an array, nor the names that begin with something.
func isIndirect(p *syntax.ParamExp) bool {
	return p.Excl && p.Param != nil && p.Names == 0 && !isAll(p.Index) && !p.Length && p.Param.Value != "@" && p.Param.Value != "*"
}

// known is ${__towline_none:+${__towline_known_1:?$__towline_why_1}} for the
// expansion that refer makes next.
func (f *fitter) known() syntax.WordPart {
	number := strconv.Itoa(f.reader.refs + 1)
	check := &syntax.ParamExp{Param: &syntax.Lit{Value: knownVariable + number}, Exp: &syntax.Expansion{
		Op: syntax.ErrorUnsetOrNull, Word: &syntax.Word{Parts: []syntax.WordPart{parameter(whyVariable + number)}},
	}}
	return &syntax.ParamExp{Param: &syntax.Lit{Value: noneVariable}, Exp: &syntax.Expansion{
		Op: syntax.AlternateUnsetOrNull, Word: &syntax.Word{Parts: []syntax.WordPart{check}},
	}}
}

// refer makes the command for one expansion and changes that.
func (f *fitter) refer(st *syntax.Stmt, p *syntax.ParamExp) *syntax.Stmt {
	f.reader.refs++
	number := strconv.Itoa(f.reader.refs)
	stmt := command(referCommand, number)
	stmt.Position = st.Position
	kind := operatorKind(p)
	call := stmt.Cmd.(*syntax.CallExpr)
	call.Args[0].Parts[0].(*syntax.Lit).ValuePos = p.Pos()
	call.Args = append(call.Args, quotedWord(kind), quotedWord(p.Param.Value), ofName(p, syntax.AlternateUnset, "set"), ofName(p, syntax.DefaultUnset, ""))
	f.reader.shown[refVariable+number] = "!" + p.Param.Value
	p.Param, p.Excl, p.Short, p.Index = &syntax.Lit{ValuePos: p.Param.ValuePos, Value: refVariable + number}, false, false, nil
	if kind != "=" {
		p.Index = literalWord("@") // what is no list has itself there
	}
	return stmt
}

// ofName is "${name+set}" or "${name-}" for an expansion of ${!name}.
func ofName(p *syntax.ParamExp, op syntax.ParExpOperator, text string) *syntax.Word {
	value := &syntax.ParamExp{Param: &syntax.Lit{Value: p.Param.Value}, Index: p.Index}
	if strings.ContainsAny(p.Param.Value, "#?-$!") {
		value.Short = true // always set
	} else {
		value.Exp = &syntax.Expansion{Op: op}
		if text != "" {
			value.Exp.Word = literalWord(text)
		}
	}
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.DblQuoted{Parts: []syntax.WordPart{value}}}}
}

// operatorKinds tell apart what may follow the name, as far as it matters for lists.
// All that is not here works on each element.
var operatorKinds = map[syntax.ParExpOperator]string{
	syntax.AssignUnset: "=", syntax.AssignUnsetOrNull: "=", syntax.AlternateUnset: "+", syntax.AlternateUnsetOrNull: "+",
	syntax.DefaultUnset: "-", syntax.DefaultUnsetOrNull: "-", syntax.ErrorUnset: "-", syntax.ErrorUnsetOrNull: "-",
	syntax.OtherParamOps: "@",
}

func operatorKind(p *syntax.ParamExp) string {
	if p.Exp == nil {
		return ""
	}
	return operatorKinds[p.Exp.Op]
}

var (
	positional = regexp.MustCompile(`^[0-9]+$`)
	subscript  = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)\[([A-Za-z0-9_.@:$ +*/-]+)\]$`)
)

// refer is the command. Its arguments are the number, the kind of operator, the
// name, whether that is set, and its value.
func (s *session) refer(ctx context.Context, hc interp.HandlerContext, args []string) int {
	number, kind, name, isSet, value := args[0], args[1], args[2], args[3] != "", args[4]
	ref, meant := refVariable+number, meantVariable+number
	defer s.at.Store(s.at.Load()) // the line of the script, not of the text below
	begin := "builtin unset " + ref + " " + meant + "; " + knownVariable + number + "=1; " + whyVariable + number + "=; "
	target, why := "", value+": invalid variable name"
	switch v := hc.Env.Get(name); {
	case v.Kind == expand.NameRef:
		target = point(ref, meant, quote(v.Str), "")
	case !isSet && positional.MatchString(name):
		target = "declare -n " + ref + "=" + meant
	case !isSet:
		why = name + ": invalid indirect expansion"
	default:
		target = targetOf(hc, ref, meant, value, kind)
	}
	if target == "" {
		target = "builtin unset " + knownVariable + number + "; " + whyVariable + number + "=" + quote(why)
	}
	if err := hc.Builtin(ctx, []string{"eval", begin + target}); err != nil {
		return exitFailure
	}
	return 0
}

// point has ref stand for a value, or with a condition for one that may be unset.
func point(ref, meant, value, condition string) string {
	text := meant + "=" + value
	if condition != "" {
		text = "if [[ -n " + condition + " ]]; then " + text + "; fi"
	}
	return text + "; declare -n " + ref + "=" + meant
}

// targetOf is what makes ref stand for the variable, element or list that text
// names, "" if there is none.
func targetOf(hc interp.HandlerContext, ref, meant, text, kind string) string {
	element := subscript.FindStringSubmatch(text)
	switch {
	case syntax.ValidName(text):
		_, v := hc.Env.Get(text).Resolve(hc.Env)
		if v.Kind != expand.Indexed && v.Kind != expand.Associative {
			return "declare -n " + ref + "=" + text
		}
		return point(ref, meant, "${"+text+"[0]}", "${"+text+"[0]+set}")
	case kind == "=":
		return ""
	case positional.MatchString(text):
		return point(ref, meant, "${"+text+"}", "${"+text+"+set}")
	case text == "#" || text == "-" || text == "$":
		return point(ref, meant, "$"+text, "")
	case text == "?":
		return point(ref, meant, strconv.Itoa(hc.LastExitStatus), "")
	case text == "!":
		return point(ref, meant, "$"+lastVariable, "")
	case text == "@" || text == "*":
		return list(ref, meant, "$"+text, "$#", kind)
	case element == nil:
		return ""
	case element[2] == "@" || element[2] == "*":
		return list(ref, meant, "${"+element[1]+"["+element[2]+"]}", "${#"+element[1]+"[@]}", kind)
	}
	index := element[2]
	if hc.Env.Get(element[1]).Kind == expand.Associative {
		index = `"` + index + `"`
	}
	return point(ref, meant, "${"+element[1]+"["+index+"]}", "${"+element[1]+"["+index+"]+set}")
}

// list makes ref a list of its own. What asks whether anything is set sees a
// variable: of a list without elements one that is not set.
func list(ref, meant, all, count, kind string) string {
	switch kind {
	case "@":
		return ""
	case "+":
		return "if ((" + count + ")); then " + meant + `="` + all + `"; fi; declare -n ` + ref + "=" + meant
	case "-":
		return "if ((" + count + ")); then " + ref + `=("` + all + `"); else declare -n ` + ref + "=" + meant + "; fi"
	}
	return ref + `=("` + all + `")`
}
