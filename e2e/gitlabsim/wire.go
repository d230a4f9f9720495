package gitlabsim

import (
	"encoding/json"
	"net/http"
	"strconv"
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// refuse answers an error in GitLab's shape: "403 Forbidden - why" (1).
func refuse(w http.ResponseWriter, status int, why string) {
	text := strconv.Itoa(status) + " " + http.StatusText(status)
	if why != "" {
		text += " - " + why
	}
	writeJSON(w, status, map[string]string{"message": text})
}

// invalid answers a failed parameter check.
func invalid(w http.ResponseWriter, what string) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"error": what})
}

// statusBody answers with the bare status code as the body (8.2).
func statusBody(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(strconv.Itoa(status)))
}
