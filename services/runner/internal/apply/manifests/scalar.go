package manifests

import (
	"encoding/base64"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var yamlFloat = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)

// words are the plain words with a meaning of their own in YAML 1.1, which is
// what kubectl reads.
var words = map[string]any{
	"": nil, "~": nil, "null": nil, "Null": nil, "NULL": nil,
	"y": true, "Y": true, "yes": true, "Yes": true, "YES": true, "true": true, "True": true, "TRUE": true, "on": true, "On": true, "ON": true,
	"n": false, "N": false, "no": false, "No": false, "NO": false, "false": false, "False": false, "FALSE": false, "off": false, "Off": false, "OFF": false,
}

// scalar is the value of a scalar node. The problem is for people; empty means
// that there is none.
func scalar(n *yaml.Node) (value any, problem string) {
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if n.Style&yaml.TaggedStyle != 0 {
		return tagged(n)
	}
	if quoted {
		return n.Value, ""
	}
	return plain(n.Value)
}

// tagged is a scalar with an explicit tag.
func tagged(n *yaml.Node) (any, string) {
	switch n.ShortTag() {
	case "!!str":
		return n.Value, ""
	case "!!binary":
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			return nil, "!!binary without valid base64"
		}
		return string(b), ""
	case "!!int", "!!bool", "!!null", "!!float":
		v, problem := plain(n.Value)
		if problem == "" && tagOf(v) != n.ShortTag() {
			if i, ok := v.(int64); ok && n.ShortTag() == "!!float" {
				return i, "" // JSON knows one kind of number
			}
			return nil, strconv.Quote(n.Value) + " is no " + strings.TrimPrefix(n.ShortTag(), "!!")
		}
		return v, problem
	}
	return nil, "the tag " + n.Tag + " means nothing in a manifest"
}

func tagOf(v any) string {
	switch v.(type) {
	case nil:
		return "!!null"
	case bool:
		return "!!bool"
	case int64:
		return "!!int"
	case float64:
		return "!!float"
	}
	return "!!str"
}

// plain is the value of an unquoted word.
func plain(in string) (any, string) {
	if v, ok := words[in]; ok {
		return v, ""
	}
	switch in {
	case ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF":
		return nil, in + " cannot be sent to Kubernetes"
	}
	if c := in[0]; c != '.' && c != '+' && c != '-' && (c < '0' || c > '9') {
		return in, ""
	}
	return number(in)
}

// whole makes an integer of a number without a fraction, as its way through
// JSON would.
func whole(f float64) any {
	const exact = 1 << 53
	if f == math.Trunc(f) && math.Abs(f) <= exact {
		return int64(f)
	}
	return f
}

func number(in string) (any, string) {
	digits := strings.ReplaceAll(in, "_", "")
	if i, err := strconv.ParseInt(digits, 0, 64); err == nil {
		return i, ""
	}
	if u, err := strconv.ParseUint(digits, 0, 64); err == nil {
		return float64(u), ""
	}
	if yamlFloat.MatchString(digits) {
		if f, err := strconv.ParseFloat(digits, 64); err == nil && !math.IsInf(f, 0) {
			return whole(f), ""
		}
	}
	for _, sign := range []string{"", "-"} {
		if bits, ok := strings.CutPrefix(digits, sign+"0b"); ok {
			if i, err := strconv.ParseInt(sign+bits, 2, 64); err == nil {
				return i, ""
			}
		}
	}
	return in, ""
}
