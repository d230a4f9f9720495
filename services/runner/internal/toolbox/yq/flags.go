package yq

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/mikefarah/yq/v4/pkg/yqlib"
	"github.com/spf13/pflag"
)

// defaultIndent is yq's own.
const defaultIndent = 2

// auto is the format that follows the file's name.
const auto = "auto"

// options are the parsed command line.
type options struct {
	flags *pflag.FlagSet
	all   bool // eval-all

	input, output, expression, expressionFile string
	split, splitFile                          string
	indent                                    int
	null, inPlace, noSeparators, nul          bool
	json, pretty, exitStatus, color           bool
	noColor, version                          bool
	unwrap                                    optionalBool
	prefs                                     preferences
}

// preferences are the settings that the library keeps in package variables.
type preferences struct {
	yaml  yqlib.YamlPreferences
	xml   yqlib.XmlPreferences
	csv   yqlib.CsvPreferences
	tsv   yqlib.CsvPreferences
	props yqlib.PropertiesPreferences
	shell yqlib.ShellVariablesPreferences
	ini   yqlib.INIPreferences

	interpolation bool
}

// optionalBool remembers whether it was set.
type optionalBool struct{ set, value bool }

func (b *optionalBool) String() string { return strconv.FormatBool(b.value) }
func (b *optionalBool) Type() string   { return "bool" }

func (b *optionalBool) Set(text string) error {
	v, err := strconv.ParseBool(text)
	b.set, b.value = true, v
	return err
}

// separator is one character, perhaps escaped.
type separator struct{ at *rune }

func (s separator) String() string {
	if s.at == nil {
		return ""
	}
	return string(*s.at)
}
func (s separator) Type() string { return "char" }

func (s separator) Set(text string) error {
	text = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\f`, "\f", `\v`, "\v").Replace(text)
	if len(text) != 1 {
		return fmt.Errorf("[%v] is not a valid character. Must be length 1 was %v", text, len(text))
	}
	*s.at = rune(text[0])
	return nil
}

func parse(args []string) (*options, []string, error) {
	o := &options{prefs: preferences{
		yaml: yqlib.NewDefaultYamlPreferences(), xml: yqlib.NewDefaultXmlPreferences(),
		csv: yqlib.NewDefaultCsvPreferences(), tsv: yqlib.NewDefaultTsvPreferences(),
		props: yqlib.NewDefaultPropertiesPreferences(), shell: yqlib.NewDefaultShellVariablesPreferences(),
		ini: yqlib.NewDefaultINIPreferences(),
	}}
	o.define()
	if err := o.flags.Parse(args); err != nil {
		return nil, nil, err
	}
	if o.json {
		o.output = "json"
	}
	operands := o.flags.Args()
	if len(operands) > 0 {
		switch operands[0] {
		case "eval", "e":
			operands = operands[1:]
		case "eval-all", "ea":
			o.all, operands = true, operands[1:]
		}
	}
	return o, operands, nil
}

func (o *options) define() {
	f := pflag.NewFlagSet("yq", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	o.flags = f
	f.StringVarP(&o.output, "output-format", "o", auto, "output format")
	f.StringVarP(&o.input, "input-format", "p", auto, "input format")
	f.BoolVarP(&o.json, "tojson", "j", false, "output as JSON")
	f.BoolVarP(&o.null, "null-input", "n", false, "evaluate without input")
	f.BoolVarP(&o.noSeparators, "no-doc", "N", false, "no document separators (---)")
	f.IntVarP(&o.indent, "indent", "I", defaultIndent, "indent of the output")
	f.BoolVarP(&o.version, "version", "V", false, "print the version")
	f.BoolVarP(&o.inPlace, "inplace", "i", false, "update the first file in place")
	f.VarP(&o.unwrap, "unwrapScalar", "r", "print scalars without quotes")
	f.Lookup("unwrapScalar").NoOptDefVal = "true"
	f.BoolVarP(&o.nul, "nul-output", "0", false, "separate values by NUL")
	f.BoolVarP(&o.pretty, "prettyPrint", "P", false, "pretty print")
	f.BoolVarP(&o.exitStatus, "exit-status", "e", false, "fail without matches or for null and false")
	f.BoolVarP(&o.color, "colors", "C", false, "print with colors")
	f.BoolVarP(&o.noColor, "no-colors", "M", false, "print without colors")
	f.StringVar(&o.expression, "expression", "", "the expression")
	f.StringVar(&o.expressionFile, "from-file", "", "file of the expression")
	f.StringVarP(&o.split, "split-exp", "s", "", "print each result into a file named by this expression")
	f.StringVar(&o.splitFile, "split-exp-file", "", "file of the expression for --split-exp")
	f.BoolP("verbose", "v", false, "has no effect here")
	o.defineFormats()
}

func (o *options) defineFormats() {
	f, p := o.flags, &o.prefs
	f.BoolVar(&p.yaml.LeadingContentPreProcessing, "header-preprocess", true, "keep header comments and separators")
	f.BoolVar(&p.yaml.FixMergeAnchorToSpec, "yaml-fix-merge-anchor-to-spec", false, "merge anchors as the YAML specification says")
	f.BoolVarP(&p.yaml.CompactSequenceIndent, "yaml-compact-seq-indent", "c", false, "compact indentation of sequences")
	f.StringVar(&p.xml.AttributePrefix, "xml-attribute-prefix", p.xml.AttributePrefix, "prefix of XML attributes")
	f.StringVar(&p.xml.ContentName, "xml-content-name", p.xml.ContentName, "name of XML content")
	f.BoolVar(&p.xml.StrictMode, "xml-strict-mode", p.xml.StrictMode, "strict XML")
	f.BoolVar(&p.xml.KeepNamespace, "xml-keep-namespace", p.xml.KeepNamespace, "keep XML namespaces")
	f.BoolVar(&p.xml.UseRawToken, "xml-raw-token", p.xml.UseRawToken, "raw XML tokens")
	f.StringVar(&p.xml.ProcInstPrefix, "xml-proc-inst-prefix", p.xml.ProcInstPrefix, "prefix of XML processing instructions")
	f.StringVar(&p.xml.DirectiveName, "xml-directive-name", p.xml.DirectiveName, "name of XML directives")
	f.BoolVar(&p.xml.SkipProcInst, "xml-skip-proc-inst", p.xml.SkipProcInst, "skip XML processing instructions")
	f.BoolVar(&p.xml.SkipDirectives, "xml-skip-directives", p.xml.SkipDirectives, "skip XML directives")
	f.BoolVar(&p.csv.AutoParse, "csv-auto-parse", p.csv.AutoParse, "parse values of CSV")
	f.Var(separator{&p.csv.Separator}, "csv-separator", "separator of CSV")
	f.BoolVar(&p.tsv.AutoParse, "tsv-auto-parse", p.tsv.AutoParse, "parse values of TSV")
	f.StringVar(&p.props.KeyValueSeparator, "properties-separator", p.props.KeyValueSeparator, "between keys and values")
	f.BoolVar(&p.props.UseArrayBrackets, "properties-array-brackets", p.props.UseArrayBrackets, "[x] in paths of arrays")
	f.StringVar(&p.shell.KeySeparator, "shell-key-separator", p.shell.KeySeparator, "between parts of shell variables")
	f.BoolVar(&p.ini.PreserveSurroundedQuote, "ini-preserve-quotes", p.ini.PreserveSurroundedQuote, "keep quotes of INI values")
	f.BoolVar(&p.interpolation, "string-interpolation", true, `interpolate \(exp) in strings`)
}

// check refuses flags that contradict each other or the files.
func (o *options) check(files []string) error {
	switch {
	case o.inPlace && (len(files) == 0 || files[0] == stdin):
		return errors.New("write in place flag only applicable when giving an expression and at least one file")
	case o.inPlace && o.split != "":
		return errors.New("write in place cannot be used with split file")
	case o.null && len(files) > 0:
		return errors.New("cannot pass files in when using null-input flag")
	case o.indent < 0:
		return errors.New("indent must not be negative")
	}
	return nil
}

// automatic says whether a format follows the file's name.
func automatic(format string) bool { return format == "" || format == auto || format == "a" }

// formats chooses the formats and returns a warning, if there is one.
func (o *options) formats(files []string) (warning string, err error) {
	file := ""
	if len(files) > 0 {
		file = files[0]
	}
	byName := yqlib.FormatStringFromFilename(file)
	switch _, unknown := yqlib.FormatFromString(byName); {
	case automatic(o.input) && unknown != nil:
		o.input = "yaml"
		if automatic(o.output) {
			o.output = "yaml"
		}
	case automatic(o.input):
		o.input = byName
		if automatic(o.output) {
			o.output = byName
		}
	case automatic(o.output):
		if file != stdin {
			warning = fmt.Sprintf("yq default output is now 'auto' (based on the filename extension). Normally yq would output '%v', but for backwards compatibility 'yaml' has been set. Please use -oy to specify yaml, or drop the -p flag.", byName)
		}
		o.output = "yaml"
	}
	_, err = yqlib.FormatFromString(o.output)
	return warning, err
}

// install puts the preferences where the library looks for them. The caller
// holds the turn.
func (o *options) install(format *yqlib.Format) {
	p := o.prefs
	unwrap := format == yqlib.YamlFormat || format == yqlib.PropertiesFormat
	if o.unwrap.set {
		unwrap = o.unwrap.value
	}
	color := o.color && !o.noColor
	p.yaml.Indent, p.yaml.UnwrapScalar, p.yaml.ColorsEnabled = o.indent, unwrap, color
	p.yaml.PrintDocSeparators, p.yaml.EvaluateTogether = !o.noSeparators, o.all
	p.xml.Indent = o.indent
	p.props.UnwrapScalar, p.shell.UnwrapScalar = unwrap, unwrap
	yqlib.ConfiguredYamlPreferences, yqlib.ConfiguredXMLPreferences = p.yaml, p.xml
	yqlib.ConfiguredCsvPreferences, yqlib.ConfiguredTsvPreferences = p.csv, p.tsv
	yqlib.ConfiguredPropertiesPreferences, yqlib.ConfiguredShellVariablesPreferences = p.props, p.shell
	yqlib.ConfiguredINIPreferences = p.ini
	json := yqlib.NewDefaultJsonPreferences()
	json.Indent, json.UnwrapScalar, json.ColorsEnabled = o.indent, unwrap, color
	yqlib.ConfiguredJSONPreferences = json
	kyaml := yqlib.NewDefaultKYamlPreferences()
	kyaml.Indent, kyaml.UnwrapScalar, kyaml.ColorsEnabled, kyaml.PrintDocSeparators = o.indent, unwrap, color, !o.noSeparators
	yqlib.ConfiguredKYamlPreferences = kyaml
	hcl, toml := yqlib.NewDefaultHclPreferences(), yqlib.NewDefaultTomlPreferences()
	hcl.ColorsEnabled, toml.ColorsEnabled = color, color
	yqlib.ConfiguredHclPreferences, yqlib.ConfiguredTomlPreferences = hcl, toml
	yqlib.StringInterpolationEnabled = p.interpolation
}
