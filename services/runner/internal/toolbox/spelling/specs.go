package spelling

import "github.com/towline/towline/services/runner/internal/toolbox/getopt"

// specs are the options of GNU's programs that busybox's have as letters. A long
// name that stands for more than a letter changes nothing in a job.
var specs = map[string]getopt.Spec{
	"cat":   {Short: "Abentv", Long: map[string]string{"show-all": "A", "number-nonblank": "b", "number": "n", "show-nonprinting": "v"}},
	"chmod": {Short: "Rcvf", Long: map[string]string{"recursive": "R", "changes": "c", "verbose": "v", "silent": "f", "quiet": "f"}},
	"chown": {Short: "RcvfhHLP", Long: map[string]string{"recursive": "R", "changes": "c", "verbose": "v", "silent": "f", "quiet": "f", "no-dereference": "h"}},
	"cmp":   {Short: "ls", Long: map[string]string{"quiet": "s", "silent": "s", "verbose": "l"}},
	"cut":   {Short: "b:c:d:f:sn", Long: map[string]string{"bytes": "b", "characters": "c", "delimiter": "d", "fields": "f", "only-delimited": "s"}},
	"df":    {Short: "ahHikmPTB:", Long: map[string]string{"all": "a", "human-readable": "h", "inodes": "i", "portability": "P", "print-type": "T", "block-size": "B"}},
	"du": {Short: "abchHLd:kmsx", Long: map[string]string{
		"all": "a", "total": "c", "human-readable": "h", "dereference": "L", "max-depth": "d", "summarize": "s", "one-file-system": "x",
	}},
	"env": {Short: "i0u:", InOrder: true, Long: map[string]string{"ignore-environment": "i", "null": "0", "unset": "u"}},
	"grep": {Short: "A:B:C:EFGHLRce:f:hilm:noqrsvwxzaI", Long: map[string]string{
		"after-context": "A", "before-context": "B", "context": "C", "extended-regexp": "E", "fixed-strings": "F", "basic-regexp": "basic-regexp",
		"with-filename": "H", "no-filename": "h", "files-without-match": "L", "files-with-matches": "l", "dereference-recursive": "R",
		"recursive": "r", "count": "c", "regexp": "e", "file": "f", "ignore-case": "i", "max-count": "m", "line-number": "n",
		"only-matching": "o", "quiet": "q", "silent": "q", "no-messages": "s", "invert-match": "v", "word-regexp": "w", "line-regexp": "x",
		"null-data": "z", "text": "a", "color": "color::", "colour": "colour::", "line-buffered": "line-buffered",
	}},
	"head": {Short: "c:n:qv", Long: map[string]string{"bytes": "c", "lines": "n", "quiet": "q", "silent": "q", "verbose": "v"}},
	"ln":   {Short: "bfnsS:Tv", Long: map[string]string{"force": "f", "no-dereference": "n", "symbolic": "s", "no-target-directory": "T", "verbose": "v"}},
	"ls": {Short: "1aAcCdeFghHiklLnopqrRsStTuvw:xX", Long: map[string]string{
		"all": "a", "almost-all": "A", "directory": "d", "classify": "F", "human-readable": "h", "inode": "i", "dereference": "L",
		"numeric-uid-gid": "n", "reverse": "r", "recursive": "R", "size": "s", "width": "w", "color": "color::",
	}},
	"nl":    {Short: "b:i:ps:v:w:", Long: map[string]string{"body-numbering": "b", "line-increment": "i", "number-separator": "s", "starting-line-number": "v", "number-width": "w"}},
	"paste": {Short: "d:sz", Long: map[string]string{"delimiters": "d", "serial": "s"}},
	"readlink": {Short: "fnqsv", Long: map[string]string{
		"canonicalize": "f", "no-newline": "n", "quiet": "q", "silent": "s", "verbose": "v",
	}},
	"rm": {Short: "firRv", Long: map[string]string{"force": "f", "recursive": "r", "verbose": "v", "preserve-root": "preserve-root"}},
	"sed": {Short: "i::nrEe:f:", Long: map[string]string{
		"in-place": "i", "quiet": "n", "silent": "n", "regexp-extended": "E", "separate": "separate", "expression": "e", "file": "f", "unbuffered": "unbuffered",
	}},
	"seq": {Short: "ws:", InOrder: true, Long: map[string]string{"equal-width": "w", "separator": "s"}},
	"sort": {Short: "bcdfgiMnruVzsk:o:t:", Long: map[string]string{
		"ignore-leading-blanks": "b", "check": "c", "dictionary-order": "d", "ignore-case": "f", "general-numeric-sort": "g",
		"ignore-nonprinting": "i", "month-sort": "M", "numeric-sort": "n", "reverse": "r", "unique": "u", "version-sort": "V",
		"zero-terminated": "z", "stable": "s", "key": "k", "output": "o", "field-separator": "t", "buffer-size": "buffer-size:", "parallel": "parallel:",
	}},
	"stat": {Short: "c:fLt", Long: map[string]string{"format": "c", "file-system": "f", "dereference": "L", "terse": "t"}},
	"tail": {Short: "c:n:fFqvs:", Long: map[string]string{"bytes": "c", "lines": "n", "quiet": "q", "silent": "q", "verbose": "v", "sleep-interval": "s"}},
	"tee":  {Short: "ai", Long: map[string]string{"append": "a", "ignore-interrupts": "i"}},
	"tr":   {Short: "cCds", InOrder: true, Long: map[string]string{"complement": "c", "delete": "d", "squeeze-repeats": "s"}},
	"uniq": {Short: "cduif:s:w:", Long: map[string]string{
		"count": "c", "repeated": "d", "unique": "u", "ignore-case": "i", "skip-fields": "f", "skip-chars": "s", "check-chars": "w",
	}},
	"wc": {Short: "clmwL", Long: map[string]string{"bytes": "c", "lines": "l", "chars": "m", "words": "w", "max-line-length": "L"}},
	"xargs": {Short: "0rtn:I:P:s:x", InOrder: true, Long: map[string]string{
		"null": "0", "no-run-if-empty": "r", "verbose": "t", "max-args": "n", "max-procs": "P", "max-chars": "s", "exit": "x",
	}},
}
