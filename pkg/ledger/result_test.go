package ledger_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/seal"
)

func sealer(t *testing.T) *seal.Box {
	t.Helper()
	b, err := seal.New(bytes.Repeat([]byte{1}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSealedTextsOpenForTheirJobAndKindOnly(t *testing.T) {
	s := sealer(t)
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	failed := ledger.Result{State: ledger.Failed, FailureReason: ledger.ReasonScript, ExitCode: 42}
	warrant := ledger.Warrant{Grant: "eyJ", Preamble: []string{"Acting as gitlab:ci_job:1001"}}
	sealedResult, sealedWarrant := must(ledger.SealJSON(s, id, failed)), must(ledger.SealJSON(s, id, warrant))
	sealedPayload := must(ledger.SealPayload(s, id, payload))

	if got, err := ledger.OpenJSON[ledger.Result](s, id, sealedResult); err != nil || got != failed {
		t.Errorf("result = %+v, %v", got, err)
	}
	if got, err := ledger.OpenJSON[ledger.Warrant](s, id, sealedWarrant); err != nil || !cmp.Equal(got, warrant) {
		t.Errorf("warrant = %+v, %v", got, err)
	}
	if got, err := ledger.OpenPayload(s, id, sealedPayload); err != nil || !bytes.Equal(got, payload) {
		t.Errorf("payload = %q, %v", got, err)
	}

	open := map[string]func(id int64, sealed []byte) error{
		"result":  func(id int64, b []byte) error { _, err := ledger.OpenJSON[ledger.Result](s, id, b); return err },
		"warrant": func(id int64, b []byte) error { _, err := ledger.OpenJSON[ledger.Warrant](s, id, b); return err },
		"payload": func(id int64, b []byte) error { _, err := ledger.OpenPayload(s, id, b); return err },
	}
	sealed := map[string][]byte{"result": sealedResult, "warrant": sealedWarrant, "payload": sealedPayload}
	for as, try := range open {
		for what, text := range sealed {
			if err := try(id, text); (err == nil) != (as == what) {
				t.Errorf("a %s opened as a %s: %v", what, as, err)
			}
			if err := try(id+1, text); !errors.Is(err, seal.ErrTampered) {
				t.Errorf("a %s opened as a %s of another job: %v", what, as, err)
			}
		}
	}
}

// TestPurposesNeverChange: texts sealed by one version are opened by the next.
func TestPurposesNeverChange(t *testing.T) {
	s := sealer(t)
	for purpose, open := range map[string]func([]byte) error{
		"towline/payload:1001": func(b []byte) error { _, err := ledger.OpenPayload(s, id, b); return err },
		"towline/result:1001":  func(b []byte) error { _, err := ledger.OpenJSON[ledger.Result](s, id, b); return err },
		"towline/warrant:1001": func(b []byte) error { _, err := ledger.OpenJSON[ledger.Warrant](s, id, b); return err },
	} {
		text, err := s.Seal([]byte(`{"state":"success","grant":"g","new":1}`), purpose)
		if err != nil {
			t.Fatal(err)
		}
		if err := open(text); err != nil {
			t.Errorf("%s: %v", purpose, err)
		}
	}
}
