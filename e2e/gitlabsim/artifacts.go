package gitlabsim

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

func shaHex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

var errTooLarge = errors.New("too large")

// uploadArtifact is POST jobs/:id/artifacts (13.1).
func (s *Server) uploadArtifact(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.ParseInt(r.PathValue("job"), 10, 64)
	token := jobToken(r)
	if s.limited(w, UploadArtifact, id, "job:"+token, s.opts.JobLimit) {
		return
	}
	s.mu.Lock()
	j := s.authJob(w, r, UploadArtifact, token)
	if j != nil {
		s.checkFirstPut(UploadArtifact, j)
		s.checkQuery(UploadArtifact, id, r, "expire_in", "artifact_type", "artifact_format", "accessibility")
	}
	s.mu.Unlock()
	if j == nil {
		return
	}
	if s.opts.ArtifactsDisabled {
		refuse(w, http.StatusMethodNotAllowed, "Artifacts not enabled on this GitLab")
		return
	}
	name, content, err := s.readPart(r)
	if errors.Is(err, errTooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, "")
		return
	}
	if err == nil {
		err = s.storeArtifact(j, r.URL.Query(), name, content)
	}
	if err != nil {
		s.anomaly(UploadArtifact, id, "artifact refused: %v", err)
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusCreated, "201")
}

// readPart takes the one part "file" of the multipart body.
func (s *Server) readPart(r *http.Request) (name string, content []byte, err error) {
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/form-data" {
		return "", nil, fmt.Errorf("Content-Type %q is not multipart/form-data", r.Header.Get("Content-Type"))
	}
	mr := multipart.NewReader(r.Body, params["boundary"])
	found := false
	for {
		part, err := mr.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", nil, fmt.Errorf("multipart body: %w", err)
		}
		if part.FormName() != "file" || part.FileName() == "" || found {
			return "", nil, fmt.Errorf("unexpected part %q", part.FormName())
		}
		found, name = true, part.FileName()
		if content, err = io.ReadAll(io.LimitReader(part, s.opts.ArtifactSizeLimit+1)); err != nil {
			return "", nil, fmt.Errorf("multipart body: %w", err)
		}
		if int64(len(content)) > s.opts.ArtifactSizeLimit {
			return "", nil, errTooLarge
		}
	}
	if !found {
		return "", nil, errors.New("missing artifacts file")
	}
	return path.Base(name), content, nil
}

// storeArtifact checks type, format and content and keeps the file; the same
// file again is accepted, another of the same type is not.
func (s *Server) storeArtifact(j *job, q url.Values, name string, content []byte) error {
	a := &artifact{content: content, Artifact: Artifact{
		Type: orDefault(q.Get("artifact_type"), "archive"), Format: orDefault(q.Get("artifact_format"), "zip"),
		Filename: name, ExpireIn: q.Get("expire_in"), Size: int64(len(content)), SHA256: shaHex(content),
	}}
	kind, ok := reportTypes[a.Type]
	if !ok {
		return fmt.Errorf("artifact_type %q does not have a valid value", a.Type)
	}
	if kind.format != a.Format {
		return fmt.Errorf("invalid file format %q with file type %q", a.Format, a.Type)
	}
	magic := map[string]string{"zip": "PK", "gzip": "\x1f\x8b"}[a.Format]
	if !bytes.HasPrefix(content, []byte(magic)) {
		return fmt.Errorf("content is not %s", a.Format)
	}
	var vars []Variable
	if a.Type == "dotenv" {
		var err error
		if vars, err = parseDotenv(content); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := j.artifact(a.Type); known != nil {
		if known.SHA256 == a.SHA256 {
			return nil
		}
		return errors.New("another artifact of the same type already exists")
	}
	j.artifacts = append(j.artifacts, a)
	if vars != nil {
		j.dotenv = vars
	}
	s.event(j, EventArtifact, a.Type+" "+a.Filename)
	s.touch()
	return nil
}

var dotenvLine = regexp.MustCompile(`^\s*(?:export\s+)?([a-zA-Z_]\w*)\s*=\s*(.*?)\s*$`)

func parseDotenv(content []byte) ([]Variable, error) {
	zr, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("dotenv: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(zr, 5<<10+1))
	if err != nil || len(plain) > 5<<10 {
		return nil, errors.New("dotenv artifact too big, maximum allowable size: 5120")
	}
	out := []Variable{}
	for _, line := range strings.Split(string(plain), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		m := dotenvLine.FindStringSubmatch(line)
		if m == nil {
			return nil, errors.New("dotenv: invalid format")
		}
		out = append(out, Variable{Key: m[1], Value: strings.Trim(m[2], `"'`)})
	}
	return out, nil
}

// downloadArtifact is GET jobs/:id/artifacts for dependencies (13.2): the token
// must be that of a running job of the same project.
func (s *Server) downloadArtifact(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.ParseInt(r.PathValue("job"), 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkQuery(DownloadArtifact, id, r, "direct_download")
	caller := s.runningJob(jobToken(r))
	if caller == nil {
		s.note(DownloadArtifact, id, "no token of a running job")
		refuse(w, http.StatusUnauthorized, "")
		return
	}
	dep := s.st.jobs[id]
	if dep == nil || dep.artifact("archive") == nil {
		refuse(w, http.StatusNotFound, "")
		return
	}
	if !s.jobMayRead(caller, dep.pipeline.project) {
		s.note(DownloadArtifact, id, "job %d may not read these artifacts", caller.id)
		refuse(w, http.StatusForbidden, "")
		return
	}
	a := dep.artifact("archive")
	if s.opts.ArtifactsRedirect && r.URL.Query().Get("direct_download") == "true" {
		key := randomHex(16)
		s.st.objects[key] = a
		_, port, _ := cutLast(s.Addr(), ":")
		w.Header().Set("Location", "http://localhost:"+port+"/_objects/"+key)
		w.WriteHeader(http.StatusFound)
		return
	}
	a.send(w)
}

// downloadObject stands for the object storage, which must not see job tokens.
func (s *Server) downloadObject(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if jobToken(r) != "" {
		s.note(DownloadArtifact, 0, "the job token was sent to object storage")
	}
	a := s.st.objects[r.PathValue("object")]
	if a == nil {
		http.NotFound(w, r)
		return
	}
	a.send(w)
}

func (a *artifact) send(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.Filename}))
	w.Header().Set("Content-Length", strconv.FormatInt(a.Size, 10))
	_, _ = w.Write(a.content)
}
