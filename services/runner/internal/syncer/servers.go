package syncer

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/syncspec"
)

// asking are the pauses before a server that did not answer is asked again.
var asking = retry.Policy{Min: 20 * time.Second, Max: 2 * time.Minute}

// maxHard bounds how many servers are remembered. Those that have been asked last
// stay; one that is forgotten costs quickly once more.
const maxHard = 256

// need is something of another server that a sync cannot do without.
//
// What is known of it must never harm a sync for which the server would answer.
// A server decides by what it is asked and by whom: so keys are whole addresses,
// not hosts, of which somebody may have one directory and make that hang, and
// with an address goes the Secret that is shown there. Whose identity a sync has
// is not seen outside the cluster, and the proxy and what it trusts are the same
// for all syncs of a runner. shared is for what all entries of a repository ask
// first, and own for one chart of it: a chart that hangs though the repository
// answers makes no other chart of it wait.
type need struct {
	address     string
	host        string // for people
	shared, own string
}

// needsOf are the needs of a task.
func needsOf(t *syncspec.Task) (out []need) {
	c := t.Entry.Chart
	if c == nil || t.Remove {
		return nil
	}
	for _, v := range c.Values {
		if v.URL != nil {
			key := keyOf("values", v.URL.URL)
			out = append(out, need{address: v.URL.URL, host: hostOf(v.URL.URL), shared: key, own: key})
		}
	}
	if r := c.Repository; r != nil {
		who := ""
		if r.Secret != "" {
			who = t.Entry.DefaultNamespace + "/" + r.Secret
		}
		asked := []any{"chart", r.URL, r.PlainHTTP, who}
		out = append(out, need{address: r.URL, host: hostOf(r.URL), shared: keyOf(asked...), own: keyOf(append(asked, r.Chart, r.Version)...)})
	}
	return out
}

// keyOf is of one length, whatever an address has: addresses hold credentials.
func keyOf(parts ...any) string {
	text, _ := json.Marshal(parts) // strings can be written
	return grant.Digest(text)
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "a server"
	}
	return u.Host
}

// hostsOf names the servers for people.
func hostsOf(needs []need) string {
	var hosts []string
	for _, n := range needs {
		if !slices.Contains(hosts, n.host) {
			hosts = append(hosts, n.host)
		}
	}
	return strings.Join(hosts, " or ")
}

// servers are those that were slow when they were asked last. They are safe for
// concurrent use.
type servers struct {
	mu    sync.Mutex
	known map[string]*standing
}

// standing is what is known of a server.
type standing struct {
	asked    time.Time
	failures int       // in a row, in which it was silent; 0 is slow, and no more
	again    time.Time // when it is asked again, if it was silent
	why      string
}

func newServers() *servers { return &servers{known: map[string]*standing{}} }

// hard says whether one of the servers was slow when it was asked last.
func (s *servers) hard(needs []need) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(needs, func(n need) bool { return s.known[n.shared] != nil || s.known[n.own] != nil })
}

// refusal is why it is no use to ask one of the servers now, "" if all are asked.
func (s *servers) refusal(needs []need, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range needs {
		for _, key := range []string{n.shared, n.own} {
			if k := s.known[key]; k != nil && now.Before(k.again) {
				return fmt.Sprintf("%s did not answer %s ago (%s); it is asked again from %s UTC on. Look at the server and the way to it",
					n.host, now.Sub(k.asked).Round(time.Second), k.why, k.again.UTC().Format(time.TimeOnly))
			}
		}
	}
	return ""
}

// learn takes over how servers were just now.
func (s *servers) learn(needs []need, list []fetched, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range list {
		at := slices.IndexFunc(needs, func(n need) bool { return n.address == f.Address })
		if at < 0 {
			continue
		}
		s.take(needs[at], f, now)
	}
	for len(s.known) > maxHard {
		oldest := ""
		for key, k := range s.known {
			if oldest == "" || k.asked.Before(s.known[oldest].asked) {
				oldest = key
			}
		}
		delete(s.known, oldest)
	}
}

func (s *servers) take(n need, f fetched, now time.Time) {
	if f.Took < quickly && f.End != endLate {
		delete(s.known, n.shared)
		delete(s.known, n.own)
		return
	}
	key := n.shared
	if f.Answered { // others may get more of it
		if k := s.known[n.shared]; k != nil {
			k.heard(0, time.Time{}, "")
		}
		key = n.own
	}
	k := s.known[key]
	if k == nil {
		k = &standing{}
		s.known[key] = k
	}
	k.asked = now
	switch f.End {
	case endSilent:
		k.heard(k.failures+1, now.Add(asking.Backoff(k.failures+1)), f.Why)
	case endDone:
		k.heard(0, time.Time{}, "")
	case endLate: // the next try will tell
	}
}

func (k *standing) heard(failures int, again time.Time, why string) {
	k.failures, k.again, k.why = failures, again, why
}
