package gitlabsim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
)

// Repository is the API of commits and archives (GitLab's documentation of the
// Commits API and the Repositories API).
const Repository Endpoint = "repository"

// Archive is the part of it that packs a repository.
const Archive Endpoint = "archive"

// repositoryCaller answers itself when the caller may not read the project.
func (s *Server) repositoryCaller(w http.ResponseWriter, r *http.Request) *project {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.authAPI(w, r, Repository)
	if c == nil {
		return nil
	}
	p := s.findProject(r.PathValue("project"))
	if !s.mayReadProject(w, Repository, c, p, "api", "read_api") {
		return nil
	}
	return p
}

// getCommit is GET projects/:id/repository/commits/:sha, where :sha is a commit
// or the name of a branch or tag; HEAD is the default branch.
func (s *Server) getCommit(w http.ResponseWriter, r *http.Request) {
	s.checkQuery(Repository, 0, r, "stats")
	p := s.repositoryCaller(w, r)
	if p == nil {
		return
	}
	ref := r.PathValue("ref")
	if ref == "HEAD" {
		ref = p.defaultBranch
	}
	sha, err := s.git.commit(r.Context(), p.id, ref)
	if err != nil {
		writeJSON(w, http.StatusNotFound, obj{"message": "404 Commit Not Found"})
		return
	}
	message, author, date, err := s.git.describe(r.Context(), p.id, sha)
	if err != nil {
		writeJSON(w, http.StatusNotFound, obj{"message": "404 Commit Not Found"})
		return
	}
	title, _, _ := strings.Cut(message, "\n")
	name, email, _ := strings.Cut(author, " <")
	const short = 8
	body := obj{
		"id": sha, "short_id": sha[:short], "title": title, "message": message, "author_name": name, "author_email": strings.TrimSuffix(email, ">"),
		"committed_date": date, "created_at": date, "project_id": p.id, "web_url": s.url + "/" + p.path + "/-/commit/" + sha, "status": nil,
	}
	// Rack::ETag makes a weak one of each answer's body.
	etag := fmt.Sprintf(`W/"%.32s"`, shaHex([]byte(fmt.Sprint(p.id, sha))))
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "max-age=0, private, must-revalidate")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// getArchive is GET projects/:id/repository/archive.tar.gz: everything below
// one directory named after project and commit.
func (s *Server) getArchive(w http.ResponseWriter, r *http.Request) {
	s.checkQuery(Repository, 0, r, "sha", "path", "include_lfs_blobs", "exclude_paths")
	p := s.repositoryCaller(w, r)
	if p == nil {
		return
	}
	ref := orDefault(r.URL.Query().Get("sha"), p.defaultBranch)
	sha, err := s.git.commit(r.Context(), p.id, ref)
	if err != nil {
		writeJSON(w, http.StatusNotFound, obj{"message": "404 File Not Found"})
		return
	}
	prefix := path.Base(p.path) + "-" + strings.ReplaceAll(ref, "/", "-") + "-" + sha
	args := []string{"archive", "--format=tar.gz", "--prefix=" + prefix + "/", sha}
	if below := r.URL.Query().Get("path"); below != "" {
		args[2] = "--prefix=" + prefix + "-" + strings.ReplaceAll(below, "/", "-") + "/"
		args = append(args, "--", ":(literal)"+below)
	}
	out, err := s.git.run(r.Context(), p.id, nil, nil, args...)
	if err != nil {
		writeJSON(w, http.StatusNotFound, obj{"message": "404 File Not Found"})
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+prefix+`.tar.gz"`)
	_, _ = w.Write([]byte(out))
}

// ForcePush makes a new history that ends with exactly these files.
func (s *Server) ForcePush(projectID, branch string, files map[string]string) (string, error) {
	p, err := s.lookupProject(projectID)
	if err != nil {
		return "", err
	}
	pointers := map[string]*string{}
	for name, content := range files {
		pointers[name] = &content
	}
	ctx := context.Background()
	const aside = "sim-force-push"
	sha, err := s.git.commitFiles(ctx, p.id, aside, pointers)
	if err != nil {
		return "", err
	}
	if err := s.git.setRef(ctx, p.id, "refs/heads/"+aside, ""); err != nil {
		return "", err
	}
	return sha, s.git.setRef(ctx, p.id, "refs/heads/"+orDefault(branch, p.defaultBranch), sha)
}

// PushCommits pushes several commits at once: nobody sees the branch stand at one
// of them but the last.
func (s *Server) PushCommits(projectID, branch string, commits ...map[string]string) (shas []string, err error) {
	p, err := s.lookupProject(projectID)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	const aside = "sim-several"
	branch = "refs/heads/" + orDefault(branch, p.defaultBranch)
	head, err := s.git.commit(ctx, p.id, branch)
	if err == nil {
		err = s.git.setRef(ctx, p.id, "refs/heads/"+aside, head)
	}
	for _, files := range commits {
		if err != nil {
			return nil, err
		}
		pointers := map[string]*string{}
		for name, content := range files {
			pointers[name] = &content
		}
		head, err = s.git.commitFiles(ctx, p.id, aside, pointers)
		shas = append(shas, head)
	}
	if err != nil {
		return nil, err
	}
	return shas, errors.Join(s.git.setRef(ctx, p.id, branch, head), s.git.setRef(ctx, p.id, "refs/heads/"+aside, ""), s.readAgentConfigs(p))
}

// PushSymlink commits a symbolic link on top of a branch.
func (s *Server) PushSymlink(projectID, branch, name, target string) (string, error) {
	p, err := s.lookupProject(projectID)
	if err != nil {
		return "", err
	}
	ctx := context.Background()
	return s.git.withIndex(ctx, p.id, orDefault(branch, p.defaultBranch), func(env []string, parent string) error {
		if _, err := s.git.run(ctx, p.id, env, nil, "read-tree", parent); err != nil {
			return err
		}
		blob, err := s.git.run(ctx, p.id, env, []byte(target), "hash-object", "-w", "--stdin")
		if err != nil {
			return err
		}
		_, err = s.git.run(ctx, p.id, env, nil, "update-index", "--add", "--cacheinfo", "120000,"+strings.TrimSpace(blob)+","+name)
		return err
	}, "")
}
