package gitlabsim

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

const maxJSONBody = 32 << 10 // Workhorse's limit of jobs/request (3.1)

// readJSON reads a bounded JSON object and notes what is odd about it. When ok
// is false the answer has been written.
func (s *Server) readJSON(w http.ResponseWriter, r *http.Request, ep Endpoint, jobID int64, sc schema) (body map[string]any, ok bool) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxJSONBody+1))
	if err != nil {
		invalid(w, "body unreadable")
		return nil, false
	}
	if len(raw) > maxJSONBody {
		s.anomaly(ep, jobID, "body larger than %d bytes", maxJSONBody)
		refuse(w, http.StatusRequestEntityTooLarge, "")
		return nil, false
	}
	if !isJSON(r) {
		s.anomaly(ep, jobID, "Content-Type %q instead of application/json", r.Header.Get("Content-Type"))
	}
	if err := decodeObject(raw, &body); err != nil {
		s.anomaly(ep, jobID, "body is not a JSON object: %v", err)
		invalid(w, "body is invalid JSON")
		return nil, false
	}
	for _, k := range sc.unknownKeys("", body) {
		s.anomaly(ep, jobID, "unknown key %q in the body", k)
	}
	return body, true
}

func decodeObject(raw []byte, into *map[string]any) error {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("trailing data")
	}
	if *into == nil {
		return errors.New("null")
	}
	return nil
}

func isJSON(r *http.Request) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && t == "application/json"
}

func text(m map[string]any, key string) string {
	v, _ := m[key].(string)
	return v
}

func object(m map[string]any, key string) map[string]any {
	v, _ := m[key].(map[string]any)
	return v
}

// integer answers a JSON integer; present tells whether the key is there and
// not null, valid whether it is an integer.
func integer(m map[string]any, key string) (v int64, present, valid bool) {
	raw, ok := m[key]
	if !ok || raw == nil {
		return 0, false, true
	}
	n, ok := raw.(json.Number)
	if !ok {
		return 0, true, false
	}
	v, err := n.Int64()
	return v, true, err == nil
}
