package gitlabsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// tagOrders are the keys that tags are sorted by: GitLab's names and git's.
var tagOrders = map[string]string{"": "creatordate", "updated": "creatordate", "name": "refname", "version": "version:refname"}

// listTags is GET projects/:id/repository/tags (GitLab's documentation of the
// Tags API).
func (s *Server) listTags(w http.ResponseWriter, r *http.Request) {
	s.checkQuery(Repository, 0, r, "order_by", "sort", "search", "page", "per_page")
	p := s.repositoryCaller(w, r)
	if p == nil {
		return
	}
	q := r.URL.Query()
	key, known := tagOrders[q.Get("order_by")]
	if order := q.Get("sort"); !known || order != "" && order != "asc" && order != "desc" {
		s.note(Repository, 0, "tags ordered by %q, %q", q.Get("order_by"), order)
		refuse(w, http.StatusBadRequest, "order_by does not have a valid value")
		return
	}
	if q.Get("sort") != "asc" {
		key = "-" + key
	}
	list, err := s.tags(r, p, key, q.Get("search"))
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	body, err := json.Marshal(page(w, q.Get("page"), q.Get("per_page"), list))
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	etag := fmt.Sprintf(`W/"%.32s"`, shaHex(body))
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "max-age=0, private, must-revalidate")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeJSON(w, http.StatusOK, json.RawMessage(body))
}

// tags are the tags whose names contain a text. A search may be anchored with ^
// and $.
func (s *Server) tags(r *http.Request, p *project, key, search string) ([]obj, error) {
	const format = "--format=%(refname:strip=2)%00%(objecttype)%00%(objectname)%00%(*objectname)%00%(creatordate:iso-strict)%00%(contents:subject)"
	out, err := s.git.run(r.Context(), p.id, nil, nil, "for-each-ref", "--sort="+key, format, "refs/tags")
	if err != nil {
		return nil, err
	}
	list := []obj{}
	for line := range strings.Lines(out) {
		const fields = 6
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\x00")
		if len(f) != fields || !found(f[0], search) {
			continue
		}
		t := obj{"name": f[0], "target": f[2], "message": "", "commit": nil, "release": nil, "protected": p.protects(f[0], true), "created_at": nil}
		commit := f[2]
		if f[1] == "tag" {
			t["message"], t["created_at"], commit = f[5], f[4], f[3]
		}
		if message, author, date, err := s.git.describe(r.Context(), p.id, commit); err == nil {
			title, _, _ := strings.Cut(message, "\n")
			name, _, _ := strings.Cut(author, " <")
			const short = 8
			t["commit"] = obj{"id": commit, "short_id": commit[:short], "title": title, "message": message, "author_name": name, "committed_date": date, "created_at": date}
		}
		list = append(list, t)
	}
	return list, nil
}

func found(name, search string) bool {
	start, fromStart := strings.CutPrefix(search, "^")
	text, toEnd := strings.CutSuffix(start, "$")
	switch {
	case fromStart && toEnd:
		return name == text
	case fromStart:
		return strings.HasPrefix(name, text)
	case toEnd:
		return strings.HasSuffix(name, text)
	}
	return strings.Contains(name, text)
}
