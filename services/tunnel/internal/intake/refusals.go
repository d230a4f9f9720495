package intake

import "time"

// What GitLab's own runner does about a token that is refused (runner-api sheet,
// section 3.3): three refusals in a row, and nothing is asked for an hour; then
// once.
const (
	mostRefusals  = 3
	refusedFor    = time.Hour
	afterTheBreak = mostRefusals - 1 // so that one more refusal is enough
)

// refusals counts how often in a row GitLab has refused the runner token.
type refusals struct {
	credential string
	inARow     int
	until      time.Time
}

// note takes the outcome of a request that was made with a credential.
func (r *refusals) note(refused bool, credential string) {
	switch {
	case !refused:
		*r = refusals{}
		return
	case credential != r.credential:
		*r = refusals{credential: credential}
	}
	if r.inARow++; r.inARow >= mostRefusals {
		r.inARow, r.until = afterTheBreak, time.Now().Add(refusedFor)
	}
}

// waiting says whether a credential is to be left alone now.
func (r *refusals) waiting(credential string) bool {
	return credential == r.credential && time.Now().Before(r.until)
}
