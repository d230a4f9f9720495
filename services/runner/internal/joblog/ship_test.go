package joblog

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/ledger"
)

// call is one Append that a sink has seen.
type call struct {
	at     time.Duration
	offset int64
	data   string
}

// sink keeps a trace as the ledger does. fault, if it returns an error, is the
// answer to a call instead.
type sink struct {
	mu    sync.Mutex
	began time.Time
	calls []call
	trace []byte
	fault func(n int) error
}

func newSink() *sink { return &sink{began: time.Now()} }

func (s *sink) Append(_ context.Context, _ int64, _ string, offset int64, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call{time.Since(s.began), offset, string(data)})
	if s.fault != nil {
		if err := s.fault(len(s.calls)); err != nil {
			return err
		}
	}
	if offset != int64(len(s.trace)) {
		return &ledger.RangeError{Size: int64(len(s.trace))}
	}
	s.trace = append(s.trace, data...)
	return nil
}

// ship runs Ship beside script and returns what it returned. The log is closed
// after script.
func ship(t *testing.T, s *sink, cfg Config, script func(l *Log)) (err error) {
	t.Helper()
	cfg.Sink = s
	if cfg.Limit == 0 {
		cfg.Limit = 1 << 20
	}
	l := New(cfg)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = l.Ship(t.Context())
	}()
	script(l)
	l.Close()
	<-done
	return err
}

func TestTheFirstPieceGoesAtOnceAndTheRestIsGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		err := ship(t, s, Config{}, func(l *Log) {
			time.Sleep(time.Second)
			l.Printf("one")
			synctest.Wait()
			l.Printf("two") // follows the first at once
			synctest.Wait()
			for range 5 {
				l.Printf("more")
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(gather)
			synctest.Wait()
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []call{
			{time.Second, 0, "one\n"},
			{time.Second, 4, "two\n"},
			{time.Second + gather, 8, strings.Repeat("more\n", 5)},
		}
		if diff := cmp.Diff(want, s.calls, cmp.AllowUnexported(call{})); diff != "" {
			t.Error(diff)
		}
	})
}

func TestASteadyTrickleMakesFewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		_ = ship(t, s, Config{}, func(l *Log) {
			for range 1000 {
				l.Printf(".")
				time.Sleep(time.Millisecond)
			}
		})
		if n := len(s.calls); n > 13 {
			t.Errorf("%d calls in a second", n)
		}
		if string(s.trace) != strings.Repeat(".\n", 1000) {
			t.Errorf("trace of %d bytes", len(s.trace))
		}
	})
}

func TestABacklogGoesInLargePiecesWithoutPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		const size = 10*maxPiece + 7
		err := ship(t, s, Config{Limit: 1 << 30}, func(l *Log) {
			_, _ = l.Write(make([]byte, size))
			synctest.Wait()
			if len(s.trace) != size || time.Since(s.began) != 0 {
				t.Errorf("%d bytes after %s", len(s.trace), time.Since(s.began))
			}
		})
		if err != nil || len(s.calls) != 11 {
			t.Errorf("%d calls, %v", len(s.calls), err)
		}
	})
}

func TestCloseDoesNotWaitForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		err := ship(t, s, Config{Phrases: []string{"secret"}}, func(l *Log) {
			l.Printf("a")
			synctest.Wait()
			l.Printf("b")
			synctest.Wait() // it gathers now
			_, _ = l.Write([]byte("c sec"))
		})
		if err != nil || string(s.trace) != "a\nb\nc sec" || time.Since(s.began) != 0 {
			t.Errorf("%q after %s, %v", s.trace, time.Since(s.began), err)
		}
	})
}

func TestAnEmptyLogNeedsNoCall(t *testing.T) {
	s := newSink()
	if err := ship(t, s, Config{Base: 7}, func(*Log) {}); err != nil || len(s.calls) != 0 {
		t.Errorf("%d calls, %v", len(s.calls), err)
	}
}

func TestTheLogGoesOnAfterAnEarlierRunners(t *testing.T) {
	s := newSink()
	s.trace = []byte("earlier\n")
	if err := ship(t, s, Config{Base: 8}, func(l *Log) { l.Printf("mine") }); err != nil || string(s.trace) != "earlier\nmine\n" {
		t.Errorf("%q, %v", s.trace, err)
	}
}

func TestWhatTheSinkLostIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		err := ship(t, s, Config{}, func(l *Log) {
			l.Printf("one")
			synctest.Wait()
			s.mu.Lock()
			s.trace = nil
			s.mu.Unlock()
			l.Printf("two")
		})
		if err != nil || string(s.trace) != "one\ntwo\n" {
			t.Errorf("%q, %v", s.trace, err)
		}
	})
}

func TestWhatAnEarlierRunnerWroteIsFilledWhenItIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const base = 2*maxPiece + 10
		s := newSink()
		s.trace = make([]byte, 0)
		err := ship(t, s, Config{Base: base, Limit: 1 << 30}, func(l *Log) { l.Printf("mine") })
		want := strings.Repeat(" ", base-1) + "\nmine\n"
		if err != nil || string(s.trace) != want {
			t.Errorf("trace of %d bytes that ends with %q, %v", len(s.trace), s.trace[max(0, len(s.trace)-10):], err)
		}
	})
}

func TestRewindWakesAShippingThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		_ = ship(t, s, Config{}, func(l *Log) {
			l.Printf("one")
			synctest.Wait()
			s.mu.Lock()
			s.trace = nil
			s.mu.Unlock()
			l.Rewind()
			time.Sleep(gather)
			synctest.Wait()
			if string(s.trace) != "one\n" {
				t.Errorf("trace = %q", s.trace)
			}
		})
	})
}

func TestAnAnswerThatWasLostDoesNotDoubleOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		s.fault = func(n int) error {
			if n == 1 { // it was stored, but nobody heard
				s.trace = append(s.trace, s.calls[0].data...)
				return errors.New("i/o timeout")
			}
			return nil
		}
		err := ship(t, s, Config{}, func(l *Log) {
			l.Printf("one")
			synctest.Wait()
			l.Printf("two") // the next piece is longer than the first was
		})
		if err != nil || string(s.trace) != "one\ntwo\n" {
			t.Errorf("%q, %v", s.trace, err)
		}
	})
}

func TestAnOutageIsWaitedFor(t *testing.T) {
	for name, fault := range map[string]error{"no answer": errors.New("connection refused"), "not known": ledger.ErrUnknown} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSink()
				s.fault = func(int) error {
					if time.Since(s.began) < time.Minute {
						return fault
					}
					return nil
				}
				err := ship(t, s, Config{}, func(l *Log) { l.Printf("one") })
				if err != nil || string(s.trace) != "one\n" {
					t.Errorf("%q, %v", s.trace, err)
				}
				if n := len(s.calls); n < 25 || n > 75 {
					t.Errorf("%d calls in a minute: too eager or too lazy", n)
				}
				if took := time.Since(s.began); took > time.Minute+3*time.Second {
					t.Errorf("noticed only after %s", took)
				}
			})
		})
	}
}

func TestSomebodyElsesJobIsLeftAlone(t *testing.T) {
	s := newSink()
	s.fault = func(int) error { return ledger.ErrLost }
	if err := ship(t, s, Config{}, func(l *Log) { l.Printf("one") }); !errors.Is(err, ledger.ErrLost) || len(s.calls) != 1 {
		t.Errorf("%d calls, %v", len(s.calls), err)
	}
}

func TestAFullTraceEndsTheShipping(t *testing.T) {
	s := newSink()
	s.fault = func(int) error { return &ledger.RangeError{Size: 0} }
	err := ship(t, s, Config{}, func(l *Log) { l.Printf("one") })
	if err == nil || !strings.Contains(err.Error(), "takes no more") || len(s.calls) != 1 {
		t.Errorf("%d calls, %v", len(s.calls), err)
	}
}

func TestShippingEndsWithItsContext(t *testing.T) {
	for name, fault := range map[string]error{"waiting for output": nil, "waiting for the sink": errors.New("down")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSink()
				s.fault = func(int) error { return fault }
				ctx, cancel := context.WithCancel(t.Context())
				l := New(Config{Sink: s, Limit: 100})
				l.Printf("one")
				done := make(chan error, 1)
				go func() { done <- l.Ship(ctx) }()
				time.Sleep(time.Second)
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		})
	}
}

func TestShippingASecondTimeSendsWhatIsLeft(t *testing.T) {
	s := newSink()
	var l *Log
	if err := ship(t, s, Config{}, func(log *Log) { l = log; l.Printf("one") }); err != nil {
		t.Fatal(err)
	}
	n := len(s.calls)
	if err := l.Ship(t.Context()); err != nil || len(s.calls) != n {
		t.Errorf("%d calls more, %v", len(s.calls)-n, err)
	}
	for _, lost := range []bool{false, true} {
		if lost {
			s.trace = nil
		}
		l.Rewind()
		if err := l.Ship(t.Context()); err != nil || string(s.trace) != "one\n" {
			t.Errorf("after Rewind, lost %v: %q, %v", lost, s.trace, err)
		}
	}
}
