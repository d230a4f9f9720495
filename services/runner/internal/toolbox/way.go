package toolbox

import "strings"

// wayOut are the variables from which programs learn how to reach hosts outside
// of the cluster. The address holds the job's grant, which is masked in logs.
func wayOut(proxy string) []string {
	if proxy == "" {
		return nil
	}
	const own = "localhost,127.0.0.1,::1"
	return []string{
		"HTTP_PROXY=" + proxy, "HTTPS_PROXY=" + proxy, "http_proxy=" + proxy, "https_proxy=" + proxy, "NO_PROXY=" + own, "no_proxy=" + own,
	}
}

// withWay adds the way out to the variables of a program. What the script has
// exported itself stays, in capital or small letters: a pair of different
// answers would be one more riddle.
func (t *Toolbox) withWay(environ []string) []string {
	set := map[string]bool{}
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		set[strings.ToLower(name)] = true
	}
	out := environ[:len(environ):len(environ)]
	for _, entry := range t.way {
		if name, _, _ := strings.Cut(entry, "="); !set[strings.ToLower(name)] {
			out = append(out, entry)
		}
	}
	return out
}
