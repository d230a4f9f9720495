package forgery

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/redis/go-redis/v9"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
)

// record is a queued job as it stands in Redis.
type record struct {
	id      int64
	payload []byte
	fields  map[string]string
}

func (s *site) key(id int64) string { return fmt.Sprintf("%s:{%d}", prefix, id) }

func (s *site) load(t *testing.T, id int64) record {
	t.Helper()
	c := s.redis.Client()
	payload, err := c.Get(t.Context(), s.key(id)+":payload").Bytes()
	must(t, err)
	fields, err := c.HGetAll(t.Context(), s.key(id)).Result()
	must(t, err)
	return record{id, payload, fields}
}

func (s *site) store(t *testing.T, r record) {
	t.Helper()
	// At once: a record that is gone for a moment is one that the tunnel forgets.
	_, err := s.redis.Client().TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Set(t.Context(), s.key(r.id)+":payload", r.payload, time.Hour)
		p.Del(t.Context(), s.key(r.id))
		p.HSet(t.Context(), s.key(r.id), r.fields)
		return nil
	})
	must(t, err)
}

// attack changes a queued job. victim is its record, other that of a job that is
// left alone.
type attack func(t *testing.T, s *site, victim *record, other record)

// Whoever has Redis has these: no key of ours is needed.
var attacks = map[string]attack{
	"payload-flipped": func(_ *testing.T, _ *site, v *record, _ record) { v.payload[len(v.payload)-1] ^= 1 },
	"payload-head":    func(_ *testing.T, _ *site, v *record, _ record) { v.payload[3] ^= 1 },
	"payload-short":   func(_ *testing.T, _ *site, v *record, _ record) { v.payload = v.payload[:len(v.payload)/2] },
	"payload-gone":    func(_ *testing.T, _ *site, v *record, _ record) { v.payload = nil },
	"payload-plain": func(_ *testing.T, _ *site, v *record, _ record) {
		v.payload = fmt.Appendf(nil, `{"id":%d,"token":"x"}`, v.id)
	},
	"payload-of-other":  func(_ *testing.T, _ *site, v *record, o record) { v.payload = o.payload },
	"payload-as-grant":  func(_ *testing.T, _ *site, v *record, _ record) { v.fields["grant"] = string(v.payload) },
	"grant-flipped":     func(_ *testing.T, _ *site, v *record, _ record) { v.fields["grant"] = flipped(v.fields["grant"]) },
	"grant-gone":        func(_ *testing.T, _ *site, v *record, _ record) { delete(v.fields, "grant") },
	"grant-plain":       func(_ *testing.T, _ *site, v *record, _ record) { v.fields["grant"] = `{"grant":"x.y.z"}` },
	"grant-of-other":    func(_ *testing.T, _ *site, v *record, o record) { v.fields["grant"] = o.fields["grant"] },
	"everything-others": func(_ *testing.T, _ *site, v *record, o record) { v.payload, v.fields = o.payload, o.fields },

	// These need the sealing key too, which tunnel and runner have.
	"sealed-script": func(t *testing.T, s *site, v *record, _ record) {
		s.reseal(t, v, changed(s.opened(t, *v)), s.warrant(t, *v))
	},
	"sealed-grant-of-other":          func(t *testing.T, s *site, v *record, o record) { s.reseal(t, v, s.opened(t, *v), s.warrant(t, o)) },
	"sealed-others-under-own-number": func(t *testing.T, s *site, v *record, o record) { s.reseal(t, v, s.opened(t, o), s.warrant(t, o)) },
	"sealed-own-key": func(t *testing.T, s *site, v *record, _ record) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		s.resign(t, v, jwt.SigningMethodEdDSA, key, "")
	},
	"sealed-own-key-under-policys-name": func(t *testing.T, s *site, v *record, _ record) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		s.resign(t, v, jwt.SigningMethodEdDSA, key, s.keyID(t, *v))
	},
	"sealed-alg-none": func(t *testing.T, s *site, v *record, _ record) {
		s.resign(t, v, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, s.keyID(t, *v))
	},
	"sealed-hs256": func(t *testing.T, s *site, v *record, _ record) {
		s.resign(t, v, jwt.SigningMethodHS256, []byte(s.keyID(t, *v)), s.keyID(t, *v))
	},
}

// waiting are attacks that name a key nobody has: it might be one that arrives a
// moment later, so that the runner waits for it while the job is wanted.
var waiting = []string{"payload-head", "sealed-own-key"}

// cancelWaiting cancels, as whoever has Redis can, what the runner waits with.
func (s *site) cancelWaiting(t *testing.T, jobs map[string]sim.Job) {
	t.Helper()
	cancelled := map[string]bool{}
	eventually.Is(t, "the jobs of unknown keys are claimed, and cancelled", func() bool {
		for _, name := range waiting {
			if id := jobs[name].ID; !cancelled[name] && s.state(t, id) == ledger.Claimed {
				must(t, s.redis.Client().HSet(t.Context(), s.key(id), "cancel", ledger.CancelAbort).Err())
				cancelled[name] = true
			}
		}
		return len(cancelled) == len(waiting)
	})
}

func flipped(text string) string {
	b := []byte(text)
	b[len(b)-1] ^= 1
	return string(b)
}

// changed is a payload with another script.
func changed(payload []byte) []byte {
	return bytes.ReplaceAll(payload, []byte("kubectl create"), []byte("kubectl  create"))
}

func (s *site) opened(t *testing.T, r record) []byte {
	t.Helper()
	b, err := ledger.OpenPayload(s.box(t), r.id, r.payload)
	must(t, err)
	return b
}

func (s *site) warrant(t *testing.T, r record) ledger.Warrant {
	t.Helper()
	w, err := ledger.OpenJSON[ledger.Warrant](s.box(t), r.id, []byte(r.fields["grant"]))
	must(t, err)
	s.watch.secret(fmt.Sprintf("grant of job %d", r.id), w.Grant)
	return w
}

// reseal puts a payload and a grant into a record, sealed for its job.
func (s *site) reseal(t *testing.T, r *record, payload []byte, w ledger.Warrant) {
	t.Helper()
	sealed, err := ledger.SealPayload(s.box(t), r.id, payload)
	must(t, err)
	r.payload = sealed
	sealed, err = ledger.SealJSON(s.box(t), r.id, w)
	must(t, err)
	r.fields["grant"] = string(sealed)
}

func (s *site) keyID(t *testing.T, r record) string {
	t.Helper()
	token, _, err := jwt.NewParser().ParseUnverified(s.warrant(t, r).Grant, &grant.Claims{})
	must(t, err)
	return token.Header["kid"].(string)
}

// resign gives a job the identity of a cluster administrator, signed as the
// attacker can.
func (s *site) resign(t *testing.T, r *record, method jwt.SigningMethod, key any, kid string) {
	t.Helper()
	w := s.warrant(t, *r)
	var c grant.Claims
	_, _, err := jwt.NewParser().ParseUnverified(w.Grant, &c)
	must(t, err)
	c.Identity.User = "kubernetes-admin"
	token := jwt.NewWithClaims(method, &c)
	if token.Header["kid"] = kid; kid == "" {
		token.Header["kid"] = grant.Thumbprint(key.(ed25519.PrivateKey).Public().(ed25519.PublicKey))
	}
	w.Grant, err = token.SignedString(key)
	must(t, err)
	s.watch.secret(fmt.Sprintf("forged grant of job %d", r.id), w.Grant)
	s.reseal(t, r, s.opened(t, *r), w)
}

// job is one that leaves a trace in the cluster and tries to print secrets.
func leaving(name string) string {
	return name + ":\n  stage: deploy\n  tags: [production]\n  variables: {GIT_STRATEGY: none}\n  script:\n  - " + strconv.Quote(leave(name)) +
		"\n  - echo \"$DB_PASSWORD $CI_JOB_TOKEN\"\n  - cat $KUBECONFIG\n"
}

// tampering holds the only slot of the runner, brings jobs into the queue with
// forged tickets, changes them there, and lets the runner go on.
func tampering(t *testing.T, s *site) {
	const path = "acme/apps/plain"
	blocker := s.start(t, path, "main", "blocker:\n  stage: deploy\n  tags: [production]\n  script: ['kubectl create configmap started', 'until kubectl get configmap go > /dev/null 2>&1; do sleep 0.1; done']\n")["blocker"]
	eventually.Is(t, "the blocker runs", func() bool {
		return s.state(t, blocker.ID) == ledger.Running && strings.Contains(s.trace(t, blocker.ID), "until")
	})
	pipeline := leaving("control") + leaving("result-forged") + leaving("result-of-other") + leaving("cancelled")
	names := []string{"control", "cancelled", "result-forged", "result-of-other"}
	for name := range attacks {
		pipeline += leaving(name)
		names = append(names, name)
	}
	jobs := s.start(t, path, "main", pipeline)
	for i := range names {
		must(t, s.ledger.Offer(t.Context(), fmt.Sprintf("forged/%d", i), time.Minute))
	}
	for _, name := range names {
		eventually.Is(t, name+" is queued", func() bool { return s.state(t, jobs[name].ID) == ledger.Queued })
	}
	other := s.load(t, jobs["control"].ID)
	s.watch.secret("grant of the control", s.warrant(t, other).Grant)
	for name, change := range attacks {
		victim := s.load(t, jobs[name].ID)
		change(t, s, &victim, record{other.id, slices.Clone(other.payload), other.fields})
		s.store(t, victim)
	}
	s.forgeResults(t, jobs)
	s.forgeQueue(t, other)
	must(t, s.redis.Client().HSet(t.Context(), s.key(jobs["cancelled"].ID), "cancel", ledger.CancelAbort).Err())
	eventually.Is(t, "the cancelled job is over", func() bool { return s.state(t, jobs["cancelled"].ID) == ledger.Reported })
	must(t, s.redis.Client().SetRange(t.Context(), s.key(blocker.ID)+":trace", 0, "forged").Err())
	s.configMap(t, "go")
	s.cancelWaiting(t, jobs)

	if j := s.wait(t, blocker.ID); j.Status != sim.Success {
		t.Errorf("the blocker is %s (%s):\n%s", j.Status, j.FailureReason, s.log(t, j.ID))
	}
	if j := s.wait(t, jobs["control"].ID); j.Status != sim.Success || s.runs(t, "control") != 1 {
		t.Errorf("the job that was left alone is %s and ran %d times:\n%s", j.Status, s.runs(t, "control"), s.log(t, j.ID))
	}
	// Who writes to Redis can deny a job its service. That is all it gains.
	if j := s.wait(t, jobs["cancelled"].ID); j.Status != sim.Failed || s.runs(t, "cancelled") != 0 {
		t.Errorf("the job with a forged cancellation is %s and ran %d times", j.Status, s.runs(t, "cancelled"))
	}
	for _, name := range names[2:] {
		t.Run(name, func(t *testing.T) {
			want := "runner_system_failure"
			if slices.Contains(waiting, name) {
				want = "unknown_failure" // what the runner's "canceled" is for GitLab
			}
			j := s.wait(t, jobs[name].ID)
			if j.Status != sim.Failed || j.FailureReason != want || s.runs(t, name) != 0 {
				t.Errorf("job is %s (%s) and ran %d times, want %s and nothing run:\n%s", j.Status, j.FailureReason, s.runs(t, name), want, s.log(t, j.ID))
			}
		})
	}
	t.Run("replay", func(t *testing.T) { s.replay(t, other) })
}

func (s *site) state(t *testing.T, id int64) ledger.State {
	t.Helper()
	r, err := s.ledger.Load(t.Context(), id)
	if err != nil {
		return ""
	}
	return r.State
}

func (s *site) trace(t *testing.T, id int64) string {
	t.Helper()
	return s.redis.Client().Get(t.Context(), s.key(id)+":trace").Val()
}

// forgeResults says of queued jobs that they have succeeded.
func (s *site) forgeResults(t *testing.T, jobs map[string]sim.Job) {
	t.Helper()
	done := s.start(t, "acme/apps/plain", "other", leaving("done")) // never taken: no ticket is left for it
	good, err := ledger.SealJSON(s.box(t), done["done"].ID, ledger.Result{State: ledger.Success})
	must(t, err)
	for name, result := range map[string][]byte{"result-forged": []byte(`{"state":"success"}`), "result-of-other": good} {
		must(t, s.redis.Client().HSet(t.Context(), s.key(jobs[name].ID), "state", "finished", "result", result).Err())
	}
	must(t, s.gitlab.CancelJob(done["done"].ID))
}

// forgeQueue announces jobs that GitLab never had, and things that are none.
func (s *site) forgeQueue(t *testing.T, other record) {
	t.Helper()
	invented := record{987654321, other.payload, other.fields}
	s.store(t, invented)
	c := s.redis.Client()
	must(t, c.LPush(t.Context(), prefix+":queue", "x", "-1", "0", "99999999999999999999", invented.id, "123456789").Err())
	must(t, c.ZAdd(t.Context(), prefix+":jobs", redisZ("x"), redisZ("-1"), redisZ("987654322")).Err())
	invented.id, invented.fields = 987654322, map[string]string{"schema": "1", "state": "accepted", "ticket": "forged/0"}
	s.store(t, invented)
}

// replay puts a job that has run into the queue again, as it stood there, and
// takes back that its grant was revoked.
func (s *site) replay(t *testing.T, before record) {
	t.Helper()
	c := s.redis.Client()
	eventually.Is(t, "the job is reported", func() bool { return s.state(t, before.id) == ledger.Reported })
	revoked, err := c.Keys(t.Context(), prefix+":revoked:*").Result()
	must(t, err)
	if len(revoked) == 0 {
		t.Fatal("no grant is revoked")
	}
	must(t, c.Del(t.Context(), revoked...).Err())
	s.store(t, before)
	must(t, c.RPush(t.Context(), prefix+":queue", before.id).Err())
	eventually.Is(t, "the runner has looked at the job", func() bool { return s.state(t, before.id) == ledger.Finished })
	if n := s.runs(t, "control"); n != 1 {
		t.Errorf("the job ran %d times", n)
	}
}

// An attack that changes nothing proves nothing.
func TestChangedIsAnotherPayload(t *testing.T) {
	b, err := json.Marshal(map[string]any{"steps": []any{map[string]any{"script": []string{leave("x")}}}})
	must(t, err)
	if got := changed(b); bytes.Equal(got, b) || !json.Valid(got) {
		t.Errorf("%s", got)
	}
}

func redisZ(member string) redis.Z { return redis.Z{Score: 1, Member: member} }
