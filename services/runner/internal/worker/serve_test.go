package worker

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/runner/internal/job"
	"github.com/towline/towline/services/runner/internal/patience"
)

const id = int64(1001)

func TestAJobRunsToItsResult(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t))
	var token string
	b.put(id, []string{
		"print hello, hunter2 and " + jobToken, "raw a panic says hunter2", "start", "get /api", "result success",
	}, func(o *order) { o.claims.ID = "the-jti" })
	eventually.Is(t, "it is claimed", func() bool { return b.record(id).State != ledger.Queued })
	w, err := ledger.OpenJSON[ledger.Warrant](b.box, id, b.record(id).Grant)
	b.must(err)
	token = w.Grant
	res, trace := b.finished(id)
	if res != success {
		t.Errorf("result = %+v", res)
	}
	for _, want := range []string{"hello, [MASKED] and [MASKED]\n", "a panic says [MASKED]\n", "200 OK\n"} {
		if !strings.Contains(trace, want) {
			t.Errorf("%q is missing in %q", want, trace)
		}
	}
	b.clean()
	eventually.Is(t, "the grant is revoked", func() bool {
		revoked, err := b.patient.Revoked(t.Context(), "the-jti")
		b.must(err)
		return revoked
	})
	eventually.Is(t, "the job's session is closed", func() bool {
		s, err := b.Gate.Open(t.Context(), token)
		if err == nil {
			s.Close()
		}
		return err == nil
	})
	log := b.log.String()
	if !strings.Contains(log, `"msg":"job finished"`) || !strings.Contains(log, `"job_id":1001`) {
		t.Errorf("log = %s", log)
	}
	for name, secret := range map[string]string{"value": "hunter2", "job token": jobToken, "grant": token} {
		if strings.Contains(log+trace, secret) {
			t.Errorf("the %s is in log or trace", name)
		}
	}
}

func TestAProcessInheritsNothing(t *testing.T) {
	t.Setenv("TOWLINE_SEAL_KEY", "x")
	f, err := os.Open("/dev/null") // descriptors of ours must not show
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := run(t, redistest.New(t), func(b *bench) { b.Warm = 2 })
	b.put(id, []string{"self", "result success"})
	_, trace := b.finished(id)
	if want := fmt.Sprintf("env=%q dir=/ descriptors=[0=pipe 1=pipe 2=pipe 3=pipe] own group=true\n", job.StartEnvironment()); trace != want {
		t.Errorf("got %q, want %q", trace, want)
	}
}

// TestTheStartIsRecordedBeforeTheScriptBegins: the process is told to go on only
// when no other runner could be given the job any more.
func TestTheStartIsRecordedBeforeTheScriptBegins(t *testing.T) {
	t.Parallel()
	states := make(chan ledger.State, 2)
	b := run(t, redistest.New(t), func(b *bench) { b.api = func(string) { states <- b.record(id).State } })
	b.put(id, []string{"get /api", "start", "get /api", `event {"type":"script_started"}`, "result success"})
	if res, _ := b.finished(id); res != success {
		t.Errorf("result = %+v: a second announcement does no harm", res)
	}
	if before, after := <-states, <-states; before != ledger.Claimed || after != ledger.Running {
		t.Errorf("before the start: %s, after it: %s", before, after)
	}
}

func TestTheScriptWaitsForRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Private(t)
	asked := make(chan string, 2)
	answer := make(chan struct{})
	b := run(t, s, func(b *bench) {
		b.api = func(path string) {
			asked <- path
			<-answer
		}
	})
	b.put(id, []string{"get /api/before", "start", "get /api/after", "result success"})
	eventually.Is(t, "it runs", func() bool { return len(asked) == 1 })
	b.must(s.Pause())
	close(answer)
	select { // long enough for calls to fail
	case <-time.After(5 * time.Second):
	case <-t.Context().Done():
	}
	if len(asked) != 1 {
		t.Fatal("the script runs, and nobody knows")
	}
	b.must(s.Resume())
	eventually.Is(t, "the script runs", func() bool { return len(asked) == 2 })
	if res, _ := b.finished(id); res != success {
		t.Errorf("result = %+v", res)
	}
}

func TestWhatPolicyDidNotSignIsNotRun(t *testing.T) {
	t.Parallel()
	other := prepare(t, redistest.New(t)).signer
	bad := func(p, w []byte) ([]byte, []byte) { p[len(p)-1] ^= 1; return p, w }
	badWarrant := func(p, w []byte) ([]byte, []byte) { w[len(w)-1] ^= 1; return p, w }
	for name, c := range map[string]struct {
		change func(*order)
		why    string
	}{
		"another job's grant":    {func(o *order) { o.claims.Job.ID = id + 1 }, "the grant is for job 1002"},
		"another payload":        {func(o *order) { o.digest = func([]byte) string { return grant.Digest([]byte("{}")) } }, "the grant is for another payload"},
		"another job's payload":  {func(o *order) { o.payload["id"] = id + 1 }, "the payload is of job 1002"},
		"no payload at all":      {func(o *order) { o.payload["id"] = "x" }, "job payload"},
		"tampered payload":       {func(o *order) { o.sealed = bad }, "payload: sealed text does not open"},
		"tampered grant":         {func(o *order) { o.sealed = badWarrant }, "grant: sealed text does not open"},
		"nothing in Redis":       {func(o *order) { o.sealed = func(_, _ []byte) ([]byte, []byte) { return nil, nil } }, "payload: sealed text does not open"},
		"a stranger's signature": {func(o *order) { o.signer = other }, "signed with a key that policy does not publish"},
		"expired": {func(o *order) {
			o.claims.IssuedAt = jwt.NewNumericDate(time.Now().Add(-time.Hour))
			o.claims.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Minute))
		}, "grant has expired"},
		"for another audience":   {func(o *order) { o.claims.Audience = jwt.ClaimStrings{grant.AudienceEgress} }, "meant for another audience"},
		"policy does not answer": {nil, "signing keys are not available"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := run(t, redistest.New(t), func(b *bench) {
				b.api = func(string) { t.Error("it ran") }
				b.patience = patience.Bounds{Answer: time.Second, Key: time.Second}
				if c.change == nil {
					b.Gate = newGate(t, "http://127.0.0.1:1", unavailable{}, b.Log)
				}
			})
			change := c.change
			if change == nil {
				change = func(*order) {}
			}
			b.put(id, []string{"start", "get /api", "print it ran", "result success"}, change)
			res, trace := b.finished(id)
			if res != failed(ledger.ReasonSystem, 0) {
				t.Errorf("result = %+v", res)
			}
			if !strings.Contains(trace, "Towline could not verify that policy allowed this job") || !strings.Contains(trace, c.why) || !strings.HasSuffix(trace, "; nothing was run\x1b[0;m\n") {
				t.Errorf("trace = %q", trace)
			}
			eventually.Is(t, "a log line", func() bool { return strings.Contains(b.log.String(), "job refused: it could not be verified") })
			log := b.log.String()
			if !strings.Contains(log, `"job_id":1001`) || strings.Contains(log, "hunter2") {
				t.Errorf("log = %s", log)
			}
			if passes := c.change == nil || name == "a stranger's signature"; strings.Contains(log, "job waits to be verified") != passes {
				t.Errorf("waits = %v, log = %s", !passes, log)
			}
			b.clean()
		})
	}
}

// unavailable is policy that does not answer.
type unavailable struct{}

func (unavailable) Key(context.Context, string) (ed25519.PublicKey, error) {
	return nil, grant.ErrKeysUnavailable
}

func TestNoOutputIsLostBehindAnEarlierRunners(t *testing.T) {
	t.Parallel()
	b := prepare(t, redistest.New(t))
	b.put(id, []string{"print mine", "result success"})
	b.must(b.patient.Repair(t.Context(), id))
	_, err := b.patient.Next(t.Context(), 0)
	b.must(err)
	_, err = b.patient.Claim(t.Context(), id, "dead/0/x", time.Minute)
	b.must(err)
	b.must(b.patient.Append(t.Context(), id, "dead/0/x", 0, []byte("theirs\n")))
	b.must(b.rdb.Del(t.Context(), b.prefix+":{1001}:lease").Err())
	b.must(b.patient.Release(t.Context(), id))
	go func() { _ = b.Run(t.Context()) }()
	if res, trace := b.finished(id); res != success || trace != "theirs\nmine\n" {
		t.Errorf("%+v, %q", res, trace)
	}
}

func TestSecretsOfAJob(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t))
	b.put(id, []string{
		"print full=https://deploy:inner-value@host", "print dep-token-1", "print plain value", "result success",
	}, func(o *order) {
		o.payload["variables"] = []map[string]any{
			{"key": "INNER", "value": "inner-value"},
			{"key": "URL", "value": "https://deploy:$INNER@host", "masked": true},
		}
		o.payload["dependencies"] = []map[string]any{{"id": 1, "name": "build", "token": "dep-token-1"}}
	})
	_, trace := b.finished(id)
	if diff := cmp.Diff("full=[MASKED]\n[MASKED]\nplain value\n", trace); diff != "" {
		t.Error(diff)
	}
}

func TestTheDirectoryIsRemovedWhateverIsInIt(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t))
	b.put(id, []string{"litter", "result success"})
	b.finished(id)
	b.clean()
	if _, err := os.Stat("/"); err != nil {
		t.Error("a link was followed")
	}
}

func TestWithoutADirectoryAJobFailsForTheRunnersSake(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t), func(b *bench) {
		file := filepath.Join(b.Dir, "file")
		b.must(os.WriteFile(file, nil, 0o600))
		b.Dir = filepath.Join(file, "no")
	})
	b.put(id, []string{"result success"})
	res, trace := b.finished(id)
	if res != failed(ledger.ReasonSystem, 0) || !strings.Contains(trace, "no directory for the job") {
		t.Errorf("%+v, %q", res, trace)
	}
}

func TestWithoutAProcessAJobFailsForTheRunnersSake(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t), func(b *bench) { b.Command, b.Warm = []string{"/does/not/exist"}, 1 })
	b.put(id, []string{"result success"})
	res, trace := b.finished(id)
	if res != failed(ledger.ReasonSystem, 0) || !strings.Contains(trace, "start a job process") {
		t.Errorf("%+v, %q", res, trace)
	}
	if !strings.Contains(b.log.String(), "no job process") {
		t.Errorf("log = %s", b.log)
	}
	b.clean()
}
