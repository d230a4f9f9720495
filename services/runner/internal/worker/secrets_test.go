package worker

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
)

// TestTheWayOutOfAJobIsMasked: programs of the toolbox have the proxy's address
// in their environment, and `env` prints it. The grant stands in it as it is, so
// that the phrase for the grant masks it.
func TestTheWayOutOfAJobIsMasked(t *testing.T) {
	const grant = "eyJhbGciOiJFZERTQSJ9.eyJqb2IiOnsiaWQiOjd9fQ.c2ln-bmF0_dXJl"
	a := &assignment{job: &jobspec.Job{Token: "glcbt-token"}, warrant: ledger.Warrant{Grant: grant}}
	phrases := secrets(a, "/tmp")
	shown := (&url.URL{Scheme: "http", User: url.UserPassword("job", grant), Host: "127.0.0.1:8081"}).String()
	if !slices.ContainsFunc(phrases, func(p string) bool { return p == grant && strings.Contains(shown, p) }) {
		t.Errorf("%s is not hidden by %q", shown, phrases)
	}
}
