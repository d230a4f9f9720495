package glob

import (
	"regexp"

	"mvdan.cc/sh/v3/pattern"
)

// Mode says how a pattern is compared. The zero Mode wants the whole name and
// lets wildcards match slashes.
type Mode struct {
	Literal  bool // there are no wildcards
	InFolder bool // wildcards match no slash
	AnyCase  bool // capital and small letters are the same
	Trailing bool // it may begin after any slash
	Below    bool // what lies below a directory that matches does too
}

// Pattern is ready to compare. Its methods may be called at the same time.
type Pattern struct{ re *regexp.Regexp }

// Compile never fails: like fnmatch, a pattern that cannot be read, which one
// that is no UTF-8 cannot, matches nothing. The time to match grows with the length of pattern and name only.
func Compile(text string, mode Mode) Pattern {
	body := regexp.QuoteMeta(text)
	if !mode.Literal {
		flags := pattern.Mode(0)
		if mode.InFolder {
			flags = pattern.Filenames | pattern.NoGlobStar | pattern.GlobLeadingDot
		}
		var err error
		if body, err = pattern.Regexp(text, flags); err != nil {
			return Pattern{}
		}
	}
	before, after := "^", "$"
	if mode.Trailing {
		before = "(?:^|/)"
	}
	if mode.Below {
		after = "(?:/.*)?$"
	}
	flags := "(?s)"
	if mode.AnyCase {
		flags = "(?si)"
	}
	re, err := regexp.Compile(flags + before + "(?:" + body + ")" + after)
	if err != nil {
		return Pattern{}
	}
	return Pattern{re}
}

// Match says whether a name fits.
func (p Pattern) Match(name string) bool { return p.re != nil && p.re.MatchString(name) }
