package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/pkg/pace"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/release"
)

// outcome is what a sync process says: its report, and what of other servers was
// fetched for it.
type outcome struct {
	syncspec.Report
	Fetches []fetched `json:"fetches,omitempty"`
}

// late says whether the process has ended because its patience had.
func (o *outcome) late() bool { return late(o.Fetches) }

func late(list []fetched) bool {
	return slices.ContainsFunc(list, func(f fetched) bool { return f.End == endLate })
}

// end is how something that was fetched came to its end.
type end string

const (
	endDone   end = "done"   // or refused: the server has answered
	endLate   end = "late"   // patience was over
	endSilent end = "silent" // nothing came, or hardly anything
)

// fetched is one thing of another server.
type fetched struct {
	Address  string        `json:"address"` // as the entry has it
	Took     time.Duration `json:"took"`
	End      end           `json:"end"`
	Answered bool          `json:"answered,omitempty"` // something of it has come
	Why      string        `json:"why,omitempty"`      // of endSilent
}

// fetches are those of one sync process. The zero value has any patience.
type fetches struct {
	until  time.Time
	list   []fetched
	teller io.WriteCloser // who waits for the list, nil once it is told
}

// tellFile is the descriptor to which a sync process writes what it has fetched,
// as soon as it needs no other server any more.
const tellFile = 3

// tell ends the list.
func (f *fetches) tell() {
	if f.teller == nil {
		return
	}
	_ = json.NewEncoder(f.teller).Encode(f.list) // without it the runner waits for the end
	_ = f.teller.Close()
	f.teller = nil
}

// maxWhy bounds what is remembered of a failure, in bytes.
const maxWhy = 300

var errPatience = errors.New("the address takes longer than it was given")

// begin sets the patience of all fetches together.
func (f *fetches) begin(patience time.Duration) {
	if patience > 0 {
		f.until = time.Now().Add(patience)
	}
}

// left is the rest of the patience, 0 if it does not end.
func (f *fetches) left() time.Duration {
	if f.until.IsZero() {
		return 0
	}
	return max(time.Until(f.until), time.Nanosecond)
}

func (f *fetches) late() bool { return late(f.list) }

// values notes how an address of values was fetched.
func (f *fetches) values(ctx context.Context, address string, fetch func(context.Context) ([]byte, error)) ([]byte, error) {
	if left := f.left(); left > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, left, errPatience)
		defer cancel()
	}
	begun := time.Now()
	text, err := fetch(ctx)
	f.note(fetched{Address: address, Took: time.Since(begun)}, err)
	return text, err
}

// chart notes how a repository's chart was fetched.
func (f *fetches) chart(address string, how release.Fetch) {
	f.note(fetched{Address: address, Took: how.Took, Answered: how.Answered}, how.Err)
	f.tell()
}

func (f *fetches) note(one fetched, err error) {
	switch {
	case errors.Is(err, errPatience), errors.Is(err, release.ErrPatience):
		one.End = endLate
	case silent(err):
		one.End, one.Why = endSilent, brief(err.Error())
	default:
		one.End = endDone
	}
	f.list = append(f.list, one)
}

func brief(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxWhy)], "")
}

// silent says whether a server has not answered, or has not come to an end.
func silent(err error) bool {
	if err == nil {
		return false
	}
	timeout := net.Error(nil)
	return errors.Is(err, pace.ErrTooSlow) || errors.As(err, &timeout) && timeout.Timeout() ||
		strings.Contains(err.Error(), " does not answer: ") // the egress proxy's word
}
