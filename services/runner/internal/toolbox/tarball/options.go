package tarball

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/glob"
)

var spec = getopt.Spec{Mixed: true, Short: "AcdrtuxaBf:zjJZI:vhpkmoOC:X:T:PSsw", Long: map[string]string{
	"create": "c", "extract": "x", "get": "x", "list": "t", "append": "r", "update": "u", "concatenate": "A", "diff": "d", "file": "f",
	"gzip": "z", "gunzip": "z", "ungzip": "z", "bzip2": "j", "xz": "J", "zstd": "zstd", "compress": "Z", "auto-compress": "a", "use-compress-program": "I:",
	"verbose": "v", "dereference": "h", "preserve-permissions": "p", "same-permissions": "p", "keep-old-files": "k", "touch": "m", "to-stdout": "O",
	"directory": "C", "exclude-from": "X", "files-from": "T", "absolute-names": "P", "sparse": "S", "preserve-order": "s",
	"no-same-owner": "o", "same-owner": "same-owner", "no-same-permissions": "no-same-permissions", "overwrite": "overwrite",
	"exclude": "exclude:", "exclude-vcs": "exclude-vcs", "null": "null", "no-null": "no-null", "verbatim-files-from": "verbatim", "no-verbatim-files-from": "no-verbatim",
	"wildcards": "wildcards", "no-wildcards": "no-wildcards", "wildcards-match-slash": "slash", "no-wildcards-match-slash": "no-slash",
	"anchored": "anchored", "no-anchored": "no-anchored", "ignore-case": "ignore-case", "no-ignore-case": "no-ignore-case",
	"owner": "owner:", "group": "group:", "numeric-owner": "numeric-owner", "mtime": "mtime:", "clamp-mtime": "clamp-mtime", "sort": "sort:", "format": "format:",
	"transform": "transform:", "xform": "transform:", "strip-components": "strip:", "show-transformed-names": "show", "show-stored-names": "show",
	"no-recursion": "no-recursion", "recursion": "recursion", "no-auto-compress": "no-auto-compress", "posix": "posix",
	"no-acls": "none", "no-selinux": "none", "no-xattrs": "none", "no-check-device": "none", "force-local": "none",
}}

// wanted are the options that busybox's tar does not know.
var wanted = strings.Fields(`X T I P S s exclude exclude-vcs null verbatim wildcards no-wildcards slash no-slash anchored no-anchored ignore-case owner group mtime
	clamp-mtime sort format posix transform show zstd none`)

// Wanted says whether a command line has one of them, or leaves it to tar how
// a file is compressed, which busybox's does not find out. What extract runs is
// never wanted.
func Wanted(args []string) bool {
	given, err := parse(args)
	has := func(names ...string) bool {
		return slices.ContainsFunc(given, func(o getopt.Option) bool { return slices.Contains(names, o.Name) })
	}
	switch {
	case has(wanted...):
		return true
	case err != nil:
		return false
	case has("c"):
		return has("J", "a")
	}
	isFile := func(o getopt.Option) bool { return o.Name == "f" && o.Value != "-" }
	return has("x", "t") && slices.ContainsFunc(given, isFile) && !has("z", "j", "J", "Z")
}

// parse reads options and operands, also in the old way without a dash.
func parse(args []string) ([]getopt.Option, error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		given, _, err := getopt.Parse(spec, args)
		return given, err
	}
	var bundle []string
	letters, rest := args[0], args[1:]
	for _, letter := range strings.Split(letters, "") {
		bundle = append(bundle, "-"+letter)
		if at := strings.Index(spec.Short, letter); at >= 0 && strings.HasPrefix(spec.Short[at+1:], ":") {
			if len(rest) == 0 {
				return nil, oldOption(letter)
			}
			bundle, rest = append(bundle, rest[0]), rest[1:]
		}
	}
	given, _, err := getopt.Parse(spec, append(bundle, rest...))
	return given, err
}

// oldOption is the letter of a bundle without its value.
type oldOption string

// Error implements error.
func (o oldOption) Error() string {
	return "Old option '" + string(o) + "' requires an argument."
}

// badValue is a value that GNU's tar explains by itself.
type badValue string

// Error implements error.
func (b badValue) Error() string { return string(b) }

// request is what a command line asks for.
type request struct {
	mode       byte // c, x or t
	file       string
	compressor string         // a program's name and options; "" is none, or found out
	members    []member       // in the order of the command line
	excludes   []glob.Pattern // all of them
	transforms []substitution
	set        map[string]bool
	verbose    int
	strip      int
	owner      ownership
	group      ownership
	mtime      string
	format     string
	dir        string   // for what is extracted
	idle       []string // options behind the last operand, which change nothing
}

// member is one operand.
type member struct {
	name     string
	dir      string // where it is, as -C says
	excludes int    // how many of the patterns hold for it
	pattern  glob.Pattern
	literal  bool
	found    bool
}

// ownership is what --owner and --group say.
type ownership struct {
	name  string
	id    int // -1: that of the file, or of the name
	given bool
}

// reader collects a request.
type reader struct {
	*request
	matching map[string]bool // what was said about patterns
	kinds    map[kind]bool   // of the next --transform
	dir      string
	list     func(file string, zero bool) ([]string, error) // the lines of -X and -T
}

func read(given []getopt.Option, dir string, list func(file string, zero bool) ([]string, error)) (*request, error) {
	r := &reader{
		request:  &request{set: map[string]bool{}, owner: ownership{id: -1}, group: ownership{id: -1}, format: "gnu", dir: dir},
		matching: map[string]bool{}, kinds: map[kind]bool{memberName: true, symlinkName: true, linkName: true}, dir: dir, list: list,
	}
	for _, o := range given {
		r.set[o.Name] = true
		if err := r.option(o); err != nil {
			return nil, err
		}
	}
	if r.mode == 0 {
		return nil, errors.New("You must specify one of the '-Acdtrux', '--delete' or '--test-label' options") //nolint:staticcheck // ST1005: GNU's words
	}
	if r.mode == 'c' && len(r.members) == 0 && !r.set["T"] {
		return nil, errors.New("Cowardly refusing to create an empty archive") //nolint:staticcheck // ST1005: GNU's words
	}
	return r.request, nil
}

func (r *reader) option(o getopt.Option) error {
	switch o.Name {
	case "":
		r.member(o.Value)
	case "c", "x", "t":
		if r.mode != 0 && r.mode != o.Name[0] {
			return errors.New("You may not specify more than one '-Acdtrux', '--delete' or  '--test-label' option") //nolint:staticcheck // ST1005: GNU's words
		}
		r.mode = o.Name[0]
	case "A", "d", "r", "u", "Z", "w":
		return fmt.Errorf("option -%s is not supported on this runner", o.Name)
	case "f":
		r.file = o.Value
	case "z", "j", "J", "zstd", "I":
		return r.compress(o)
	case "v":
		r.verbose++
	case "C":
		r.dir = join(r.dir, o.Value)
		r.idle = append(r.idle, "-C '"+o.Value+"'")
		if len(r.members) == 0 {
			r.request.dir = r.dir
		}
	case "exclude", "exclude-vcs", "X":
		return r.exclusion(o)
	case "T":
		return r.names(o.Value)
	case "transform":
		s, err := parseTransform(o.Value, r.kinds)
		r.transforms = append(r.transforms, s...)
		return err
	case "strip":
		n, err := strconv.Atoi(o.Value)
		if err != nil || n < 0 {
			return fmt.Errorf("%s: Invalid number of elements", o.Value)
		}
		r.strip = n
	default:
		return r.attribute(o)
	}
	return nil
}

// attribute takes what changes the entries of an archive, or how patterns are
// compared.
func (r *reader) attribute(o getopt.Option) (err error) {
	switch o.Name {
	case "owner":
		r.owner, err = parseOwnership(o.Value)
	case "group":
		r.group, err = parseOwnership(o.Value)
	case "mtime":
		r.mtime = o.Value
	case "sort":
		if !slices.Contains([]string{"none", "name", "inode"}, o.Value) {
			return badValue(fmt.Sprintf("invalid argument '%s' for '--sort'\nValid arguments are:\n  - 'none'\n  - 'name'\n  - 'inode'", o.Value))
		}
	case "posix":
		r.format = "posix"
	case "format":
		r.format = o.Value
		if _, ok := formats[o.Value]; !ok {
			return fmt.Errorf("%s: Invalid archive format; this runner writes %s", o.Value, strings.Join(slices.Sorted(maps.Keys(formats)), ", "))
		}
	case "wildcards", "slash", "anchored", "ignore-case":
		r.matching[o.Name] = true
	case "no-wildcards", "no-slash", "no-anchored", "no-ignore-case":
		r.matching[strings.TrimPrefix(o.Name, "no-")] = false
	}
	return err
}

// pattern reads a pattern as what was said before has it. usual is true for
// patterns of --exclude and false for members.
func (r *reader) pattern(text string, usual bool) (p glob.Pattern, literal bool) {
	said := func(name string, otherwise bool) bool {
		if value, ok := r.matching[name]; ok {
			return value
		}
		return otherwise
	}
	mode := glob.Mode{
		Literal: !said("wildcards", usual), InFolder: !said("slash", true), AnyCase: said("ignore-case", false),
		Trailing: !said("anchored", !usual), Below: true,
	}
	if literal = mode.Literal && !mode.AnyCase && !mode.Trailing; literal && !usual {
		return p, true // there may be very many of these
	}
	return glob.Compile(text, mode), literal
}

func (r *reader) member(name string) {
	m := member{name: strings.TrimRight(name, "/"), dir: r.dir, excludes: len(r.excludes)}
	if m.name == "" && name != "" {
		m.name = "/"
	}
	m.pattern, m.literal = r.pattern(m.name, false)
	r.members, r.idle = append(r.members, m), nil
}

// versionControl are the names that --exclude-vcs leaves out.
var versionControl = strings.Fields(`CVS .cvsignore RCS SCCS .git .gitignore .gitattributes .gitmodules .svn .arch-ids {arch} =RELEASE-ID =meta-update =update
	.bzr .bzrignore .bzrtags .hg .hgignore .hgtags _darcs`)

func (r *reader) exclusion(o getopt.Option) error {
	patterns := []string{o.Value}
	switch o.Name {
	case "exclude":
		r.idle = append(r.idle, "--exclude '"+o.Value+"'")
	case "exclude-vcs":
		patterns = versionControl
	case "X":
		r.idle = append(r.idle, "--exclude-from '"+o.Value+"'")
		lines, err := r.list(o.Value, false)
		if err != nil {
			return err
		}
		patterns = nil
		for _, line := range lines {
			if line = strings.TrimRight(line, " \t\r\v\f"); line != "" {
				patterns = append(patterns, line)
			}
		}
	}
	for _, text := range patterns {
		p, _ := r.pattern(text, true)
		r.excludes = append(r.excludes, p)
	}
	return nil
}

// names takes the members from a file. A line that begins with a dash is an
// option there.
func (r *reader) names(file string) error {
	r.idle = nil
	lines, err := r.list(file, r.set["null"])
	if err != nil {
		return err
	}
	for _, line := range lines {
		if line == "" {
			continue
		}
		if !strings.HasPrefix(line, "-") || r.set["null"] || r.set["verbatim"] {
			r.member(line)
			continue
		}
		// -C and its value may stand apart.
		name, value, apart := strings.Cut(line, " ")
		args := []string{line}
		if apart && !strings.Contains(name, "=") {
			args = []string{name, strings.TrimSpace(value)}
		}
		given, _, err := getopt.Parse(spec, args)
		if err == nil && (len(given) != 1 || given[0].Name != "C" && given[0].Name != "exclude") {
			err = errors.New("only -C and --exclude are supported in a list of names on this runner")
		}
		if err == nil {
			err = r.option(given[0])
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", file, line, err)
		}
	}
	r.idle = nil
	return nil
}

func parseOwnership(text string) (ownership, error) {
	o := ownership{id: -1, given: true}
	name, number, both := strings.Cut(text, ":")
	if !both && name != "" && '0' <= name[0] && name[0] <= '9' {
		name, number = "", name
	}
	o.name = name
	if number == "" {
		return o, nil
	}
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return o, unrecoverable{fmt.Errorf("%s: %w", number, errOwner)}
	}
	o.id = int(id)
	return o, nil
}

var errOwner = errors.New("Invalid owner or group ID") //nolint:staticcheck // ST1005: GNU's words

func (r *reader) compress(o getopt.Option) error {
	program := map[string]string{"z": "gzip", "j": "bzip2", "J": "xz", "zstd": "zstd", "I": o.Value}[o.Name]
	if r.compressor != "" && r.compressor != program {
		return errors.New("Conflicting compression options") //nolint:staticcheck // ST1005: GNU's words
	}
	r.compressor = program
	return nil
}

// bySuffix is what -a takes from the name of a file.
var bySuffix = map[string]string{
	".gz": "gzip", ".tgz": "gzip", ".taz": "gzip", ".bz2": "bzip2", ".tbz": "bzip2", ".tbz2": "bzip2", ".xz": "xz", ".txz": "xz", ".zst": "zstd", ".tzst": "zstd",
}
