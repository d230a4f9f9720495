package job

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/services/runner/internal/inquiry"
)

func TestQuestionsFindTheirAnswers(t *testing.T) {
	r, w := io.Pipe()
	a := &asking{frames: newFrameWriter(w)}
	go func() {
		_ = ReadFrames(r, func(f Frame) error {
			e, err := f.Event()
			if err != nil {
				return err
			}
			a.hear(Reply{Number: e.Number + 1000, Answer: inquiry.Answer{Refusal: "of another question"}})
			for range 2 { // the second one finds nobody
				a.hear(Reply{Number: e.Number, Answer: inquiry.Answer{Entry: e.Question.Entry}})
			}
			return nil
		})
	}()
	for _, name := range []string{"a", "b"} {
		got, err := a.ask(t.Context(), inquiry.Question{Entry: name})
		if err != nil || got.Entry != name {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if got, err := a.ask(t.Context(), inquiry.Question{Entry: "no name"}); err != nil || got.Refusal == "" {
		t.Errorf("%+v, %v", got, err)
	}
	if len(a.open) > 0 {
		t.Errorf("%d questions are kept", len(a.open))
	}
}

func TestASilentSupervisorIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asking{frames: newFrameWriter(io.Discard)}
		began := time.Now()
		if _, err := a.ask(t.Context(), inquiry.Question{}); err == nil || !strings.Contains(err.Error(), "does not answer") || time.Since(began) != askTime {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := a.ask(ctx, inquiry.Question{}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestQuestionsInFrames(t *testing.T) {
	for text, want := range map[string]bool{
		`{"type":"question","number":3,"question":{"entry":"a/b"}}`:      true,
		`{"type":"question","number":3}`:                                 false,
		`{"type":"question","question":{"entry":"a}:task"}}`:             false,
		`{"type":"question","question":{"commit":"main"}}`:               false,
		`{"type":"question","result":{"state":"success"},"question":{}}`: true,
	} {
		e, err := Frame{Kind: KindEvent, Data: []byte(text)}.Event()
		if (err == nil) != want || e.Result != nil {
			t.Errorf("%s: %+v, %v", text, e, err)
		}
	}
	var b bytes.Buffer
	if err := WriteControl(&b, Control{Reply: &Reply{Number: 3, Answer: inquiry.Answer{Phase: inquiry.Applied}}}); err != nil {
		t.Fatal(err)
	}
	var c Control
	if err := readMessage(&b, &c); err != nil || c.Reply.Number != 3 || c.Reply.Answer.Phase != inquiry.Applied {
		t.Errorf("%+v, %v", c, err)
	}
}
