package gitlab_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// calls makes one call of each kind and returns what went wrong with it.
func calls(t *testing.T, c *gitlab.Client) map[string]error {
	t.Helper()
	out := map[string]error{}
	_, out["verify"] = c.Verify(t.Context())
	out["request"] = c.RequestJob(t.Context(), "").Why
	out["patch"] = c.PatchTrace(t.Context(), 1, jobToken, 0, []byte("log of a job"), false).Why
	out["update"] = c.UpdateJob(t.Context(), 1, jobToken, gitlab.Update{State: "running"}).Why
	_, out["agents"] = c.AllowedAgents(t.Context(), jobToken)
	_, out["environment"] = c.EnvironmentNamed(t.Context(), jobToken, 20, "x")
	_, out["file"] = c.FileAt(t.Context(), "glpat-secret", "a/b", "x", "HEAD", "", 100)
	return out
}

func TestRedirectsOnTheSameHostReplayHeadersAndBody(t *testing.T) {
	for _, code := range []int{307, 308} {
		var moved []seen
		mux := http.NewServeMux()
		s := serve(t, reply{200, asJSON, `{}`}) // what stands behind /moved
		mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
			checkHeaders(t, r)
			http.Redirect(w, r, "/moved"+r.RequestURI, code)
		})
		mux.HandleFunc("/moved/", s.ServeHTTP)
		front := httptest.NewServer(mux)
		defer front.Close()
		calls(t, client(t, front.URL, nil))
		if moved = s.seen(); len(moved) != 7 {
			t.Fatalf("%d: %d calls arrived, want 7", code, len(moved))
		}
		for _, m := range moved {
			token := m.Header.Get("RUNNER-TOKEN") + m.Header.Get("JOB-TOKEN") + m.Header.Get("PRIVATE-TOKEN")
			if token == "" {
				t.Errorf("%d: %s %s lost its token", code, m.Method, m.URI)
			}
			if (len(m.Body) > 0) != (m.Method != http.MethodGet) {
				t.Errorf("%d: %s %s has a body of %d bytes", code, m.Method, m.URI, len(m.Body))
			}
		}
		if string(moved[2].Body) != "log of a job" || moved[2].Header.Get("Content-Range") != "0-11" {
			t.Errorf("%d: patch arrived as %q %v", code, moved[2].Body, moved[2].Header)
		}
	}
}

// Go's client sends headers of ours on to any host, and the body of a JSON call
// holds the token too: nothing may go to another address than the configured one.
func TestRedirectsToAnotherHostAreNotFollowed(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		other := serve(t, reply{200, asJSON, `{}`})
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.RequestURI, code)
		}))
		defer front.Close()
		for name, err := range calls(t, client(t, front.URL, nil)) {
			if err == nil || !strings.Contains(err.Error(), "set --gitlab-url to that") || !strings.Contains(err.Error(), other.URL) {
				t.Errorf("%d %s: error = %v", code, name, err)
			}
			noSecret(t, err)
		}
		if n := len(other.seen()); n != 0 {
			t.Errorf("%d: %d calls reached another host", code, n)
		}
	}
}

// A redirect that turns PUT into GET must not read as the end of a job.
func TestRedirectsThatLoseTheRequest(t *testing.T) {
	var got []string
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) })
	mux.HandleFunc("/x", func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method)
		w.WriteHeader(http.StatusNotFound)
	})
	front := httptest.NewServer(mux)
	defer front.Close()
	c := client(t, front.URL, nil)
	if r := c.UpdateJob(t.Context(), 1, jobToken, gitlab.Update{State: "success"}); r.Outcome != gitlab.UpdateRetry {
		t.Errorf("result = %+v", r)
	}
	if r := c.RequestJob(t.Context(), ""); r.Outcome != gitlab.Failed || !strings.Contains(r.Why.Error(), "loses the request") {
		t.Errorf("result = %+v", r)
	}
	if len(got) != 0 {
		t.Errorf("calls became %v", got)
	}
}

func TestRedirectToHTTPSOfTheSameHostIsFollowed(t *testing.T) {
	s := serve(t, reply{200, asJSON, `{}`})
	secure := httptest.NewTLSServer(s)
	defer secure.Close()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, secure.URL+r.RequestURI, http.StatusPermanentRedirect)
	}))
	defer front.Close()
	if outcome, err := client(t, front.URL, secure.Client()).Verify(t.Context()); outcome.Outcome != gitlab.VerifyAccepted {
		t.Errorf("verify: %v", err)
	}
	back := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, front.URL+r.RequestURI, http.StatusPermanentRedirect)
	}))
	defer back.Close()
	if _, err := client(t, back.URL, back.Client()).Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "another address") {
		t.Errorf("from https to http: %v", err)
	}
}

func TestRedirectsInACircleEnd(t *testing.T) {
	n := 0
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		http.Redirect(w, r, r.RequestURI, http.StatusTemporaryRedirect)
	}))
	defer front.Close()
	if _, err := client(t, front.URL, nil).Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "circle") || n > 10 {
		t.Errorf("after %d redirects: %v", n, err)
	}
}

func TestGivenHTTPClientIsNotChanged(t *testing.T) {
	h := &http.Client{}
	client(t, "https://gitlab.example.com", h)
	if h.CheckRedirect != nil || http.DefaultClient.CheckRedirect != nil {
		t.Error("the caller's client has our redirect rules now")
	}
}

// Section 1.1, with a transport of its own so that time costs nothing.
func TestRetryLayer(t *testing.T) {
	soon := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	tests := map[string]struct {
		code      int
		header    func() map[string]string
		attempts  int
		low, high time.Duration // of all pauses together
	}{
		"500":                    {500, nil, 5, 750 * time.Millisecond, 1500 * time.Millisecond},
		"408":                    {408, nil, 5, 750 * time.Millisecond, 1500 * time.Millisecond},
		"515":                    {515, nil, 5, 750 * time.Millisecond, 1500 * time.Millisecond},
		"501 is not tried again": {501, nil, 1, 0, 0},
		"505 is not tried again": {505, nil, 1, 0, 0},
		"400 is not tried again": {400, nil, 1, 0, 0},
		"403 is not tried again": {403, nil, 1, 0, 0},
		"Retry-After":            {503, func() map[string]string { return map[string]string{"Retry-After": "7"} }, 5, 28 * time.Second, 28 * time.Second},
		"Retry-After is bounded": {503, func() map[string]string { return map[string]string{"Retry-After": "6000"} }, 5, 8 * time.Minute, 8 * time.Minute},
		"RateLimit-ResetTime first": {429, func() map[string]string {
			return map[string]string{"Retry-After": "7", "RateLimit-ResetTime": soon(20 * time.Second)}
		}, 5, 80 * time.Second, 80 * time.Second},
		"a reset time in the past": {429, func() map[string]string {
			return map[string]string{"Retry-After": "7", "RateLimit-ResetTime": soon(-time.Hour)}
		}, 5, 28 * time.Second, 28 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, began := 0, time.Now()
				c := client(t, "https://gitlab.example.com", &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
					n++
					checkHeaders(t, r)
					var h map[string]string
					if tt.header != nil {
						h = tt.header()
					}
					return response(tt.code, h, ""), nil
				})})
				if _, err := c.AllowedAgents(t.Context(), jobToken); err == nil {
					t.Error("no error")
				}
				if took := time.Since(began); n != tt.attempts || took < tt.low || took > tt.high {
					t.Errorf("%d attempts in %s, want %d in %s to %s", n, took, tt.attempts, tt.low, tt.high)
				}
			})
		})
	}
}

func TestRetryLayerRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := client(t, "https://gitlab.example.com", &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			if n++; n < 5 {
				return response(502, nil, ""), nil
			}
			return response(200, asJSON, agentsAnswer), nil
		})})
		if got, err := c.AllowedAgents(t.Context(), jobToken); err != nil || got.Job.ID != 1001 {
			t.Errorf("after %d attempts: %v", n, err)
		}
	})
}

func TestCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := client(t, "https://gitlab.example.com", &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		began := time.Now()
		for name, err := range calls(t, hang) {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
			noSecret(t, err)
		}
		// Five calls of a minute each, of which the request for a job may be held
		// longer, a piece of a log, and a state.
		if took := time.Since(began); took != 5*time.Minute+time.Second+15*time.Second+10*time.Second {
			t.Errorf("took %s", took)
		}
	})
}
