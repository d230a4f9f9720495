package syncspec

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// concealFrom is the length from which a text is concealed, in bytes: shorter
// ones stand everywhere by chance.
const concealFrom = 4

// Conceal keeps secrets out of everything that is added from now on: as they
// are, line by line, quoted, and to and from base64.
func (r *Report) Conceal(secrets []string) {
	r.secrets = append(r.secrets, secrets...)
	var texts []string
	for _, s := range r.secrets {
		texts = append(texts, s, base64.StdEncoding.EncodeToString([]byte(s)))
		texts = append(texts, strings.Split(s, "\n")...)
		if quoted := strconv.Quote(s); len(quoted) > len(s)+2 {
			texts = append(texts, quoted[1:len(quoted)-1])
		}
		if plain, err := base64.StdEncoding.DecodeString(s); err == nil {
			texts = append(texts, string(plain))
		}
	}
	texts = slices.DeleteFunc(texts, func(s string) bool { return len(s) < concealFrom })
	slices.SortFunc(texts, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
	var pairs []string
	for _, s := range slices.Compact(texts) {
		pairs = append(pairs, s, "[redacted]")
	}
	r.concealed = strings.NewReplacer(pairs...)
}

// Concealed is a text without the secrets.
func (r *Report) Concealed(text string) string {
	if r.concealed == nil {
		return text
	}
	return r.concealed.Replace(text)
}
