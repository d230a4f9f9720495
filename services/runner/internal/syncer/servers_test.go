package syncer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
)

// taskOf needs what a repository and addresses of values have.
func taskOf(namespace string, r *agentconfig.ChartRepository, values ...string) *syncspec.Task {
	c := &agentconfig.Chart{Repository: r}
	for _, v := range values {
		c.Values = append(c.Values, agentconfig.ChartValues{URL: &agentconfig.ValuesURL{URL: v}})
	}
	return &syncspec.Task{Entry: agentconfig.Manifests{DefaultNamespace: namespace, Chart: c}}
}

// What is known of one entry's server concerns those alone who ask it for the
// same in the same way.
func TestWhoSharesWhatIsKnown(t *testing.T) {
	const address, values = "https://charts.example.com/stable", "https://values.example.com/shop.yaml"
	first := taskOf("a", &agentconfig.ChartRepository{URL: address, Chart: "web", Secret: "robot"}, values)
	silent := func(address string, answered bool) []fetched {
		return []fetched{{Address: address, Took: 30 * time.Second, End: endSilent, Answered: answered, Why: "nothing came"}}
	}
	for name, tt := range map[string]struct {
		other       *syncspec.Task
		list        []fetched
		hard        bool
		refusedWith string
	}{
		"another chart": {
			taskOf("a", &agentconfig.ChartRepository{URL: address, Chart: "api", Secret: "robot"}), silent(address, false), true,
			"charts.example.com did not answer 2s ago (nothing came); it is asked again from ",
		},
		"another chart of a repository that answers": {taskOf("a", &agentconfig.ChartRepository{URL: address, Chart: "api", Secret: "robot"}), silent(address, true), false, ""},
		"the same chart of one":                      {taskOf("a", &agentconfig.ChartRepository{URL: address, Chart: "web", Secret: "robot"}), silent(address, true), true, "charts.example.com did not answer"},
		"another directory":                          {taskOf("a", &agentconfig.ChartRepository{URL: "https://charts.example.com/other", Chart: "web", Secret: "robot"}), silent(address, false), false, ""},
		"other credentials":                          {taskOf("a", &agentconfig.ChartRepository{URL: address, Chart: "web", Secret: "other"}), silent(address, false), false, ""},
		"a Secret of this name elsewhere":            {taskOf("b", &agentconfig.ChartRepository{URL: address, Chart: "web", Secret: "robot"}), silent(address, false), false, ""},
		"no credentials":                             {taskOf("a", &agentconfig.ChartRepository{URL: address, Chart: "web"}), silent(address, false), false, ""},
		"the same values":                            {taskOf("b", nil, values), silent(values, false), true, "values.example.com did not answer"},
		"other values of the host":                   {taskOf("b", nil, values+"?x=1"), silent(values, false), false, ""},
		"an address that nobody asked":               {first, silent("https://elsewhere.example.com", false), false, ""},
		"nothing outside":                            {&syncspec.Task{}, silent(address, false), false, ""},
		"only slow":                                  {taskOf("b", nil, values), []fetched{{Address: values, Took: 9 * time.Second, End: endDone, Answered: true}}, true, ""},
		"quick, and refused":                         {taskOf("b", nil, values), []fetched{{Address: values, Took: time.Second, End: endSilent}}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, now := newServers(), time.Now()
			s.learn(needsOf(first), tt.list, now)
			needs := needsOf(tt.other)
			if got := s.hard(needs); got != tt.hard {
				t.Errorf("hard: %v", got)
			}
			if got := s.refusal(needs, now.Add(2*time.Second)); !strings.HasPrefix(got, tt.refusedWith) || (got == "") != (tt.refusedWith == "") {
				t.Errorf("%q", got)
			}
			if got := s.refusal(needs, now.Add(asking.Max)); got != "" {
				t.Errorf("it is never asked again: %q", got)
			}
		})
	}
}

// A server is asked ever more rarely, and is forgotten when it answers.
func TestSilentServersAreAskedMoreRarely(t *testing.T) {
	s, n, now := newServers(), chartOf("https://dead.example.com"), time.Now()
	for range 10 {
		s.learn([]need{n}, []fetched{{Address: n.address, Took: quickly, End: endSilent}}, now)
		s.learn([]need{n}, []fetched{{Address: n.address, Took: 0, End: endLate}}, now)
		now = s.known[n.shared].again
	}
	if k := s.known[n.shared]; k.failures != 10 || k.again.Sub(k.asked) < asking.Max/2 {
		t.Errorf("%+v", k)
	}
	s.learn([]need{n}, []fetched{{Address: n.address, Took: quickly, End: endDone, Answered: true}}, now)
	if got := s.refusal([]need{n}, now); got != "" || !s.hard([]need{n}) {
		t.Errorf("a slow server: %q", got)
	}
	s.learn([]need{n}, []fetched{{Address: n.address, Took: time.Second, End: endDone, Answered: true}}, now)
	if len(s.known) != 0 {
		t.Errorf("%v", s.known)
	}
}

func TestFewServersAreRemembered(t *testing.T) {
	s, now := newServers(), time.Now()
	for i := range 3 * maxHard {
		n := chartOf(fmt.Sprintf("https://%d.example.com", i))
		s.learn([]need{n}, []fetched{{Address: n.address, End: endLate}}, now.Add(time.Duration(i)))
	}
	if len(s.known) != maxHard || !s.hard([]need{chartOf(fmt.Sprintf("https://%d.example.com", 3*maxHard-1))}) {
		t.Errorf("%d servers", len(s.known))
	}
}
