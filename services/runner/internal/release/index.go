package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/repo"

	"github.com/towline/towline/services/runner/internal/egress"
)

// download gets a packed chart from a repository with an index.yaml. One whose
// digest the index gives is not fetched twice; of another one the server is
// asked whether it has changed.
func (s *source) download(ctx context.Context) ([]byte, error) {
	where, err := s.resolve(ctx)
	if err != nil {
		return nil, err
	}
	key := s.key(where.Address, where.Digest)
	before, known := s.engine.kept.chart(key)
	switch {
	case before == nil:
	case where.Digest != "" && known.Sum == where.Digest:
		return before, nil
	case where.Digest != "" || !known.usable(time.Now()):
		known = note{}
	}
	answer, err := s.get(ctx, where.Address, known.verifier)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotModified {
		return before, nil
	}
	packed, err := readAll(answer.Body, maxArchive)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", redactURL(where.Address), err)
	}
	if sum := hexSum(packed); where.Digest != "" && sum != where.Digest {
		return nil, fmt.Errorf("%s: its SHA-256 is %s, but the index says %s", redactURL(where.Address), sum, where.Digest)
	}
	fresh := note{verifier: verifierOf(answer.Header, time.Now())}
	if where.Digest != "" || fresh.usable(time.Now()) {
		s.engine.kept.keepChart(key, packed, fresh)
	}
	return packed, nil
}

// resolve finds the address of the wanted version. The index is asked for each
// time, with the credentials; one that has not changed is not sent again.
func (s *source) resolve(ctx context.Context) (resolved, error) {
	address, err := repo.ResolveReferenceURL(s.URL, "index.yaml")
	if err != nil {
		return resolved{}, errors.New("the address cannot be read")
	}
	key := s.key(address, s.Chart, s.Version)
	before := s.engine.kept.answer(key)
	if !before.usable(time.Now()) {
		before = resolved{}
	}
	answer, err := s.get(ctx, address, before.verifier)
	if err != nil {
		return resolved{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotModified {
		return before, nil
	}
	text, err := readAll(answer.Body, maxIndex)
	if err != nil {
		return resolved{}, fmt.Errorf("index.yaml: %w", err)
	}
	where, err := s.find(text)
	if err != nil {
		return resolved{}, err
	}
	if where.verifier = verifierOf(answer.Header, time.Now()); where.usable(time.Now()) {
		s.engine.kept.keepAnswer(key, where)
	}
	return where, nil
}

// find looks the wanted version up in an index.
func (s *source) find(text []byte) (where resolved, err error) {
	index, err := s.engine.parseIndex(text)
	if err != nil {
		return where, fmt.Errorf("index.yaml: %w", err)
	}
	found, err := index.Get(s.Chart, s.Version)
	if err != nil {
		return where, fmt.Errorf("the repository has no version %s of it", orNewest(s.Version))
	}
	if len(found.URLs) == 0 {
		return where, fmt.Errorf("the repository has no address of version %s", found.Version)
	}
	where.Digest = strings.TrimPrefix(found.Digest, "sha256:")
	if where.Address, err = repo.ResolveReferenceURL(s.URL, found.URLs[0]); err != nil {
		return where, fmt.Errorf("the repository has no usable address of version %s", found.Version)
	}
	return where, nil
}

func orNewest(version string) string {
	if version == "" {
		return "that is released"
	}
	return version
}

// parseIndex reads an index as helm does, which it only does with files.
func (e *Engine) parseIndex(text []byte) (*repo.IndexFile, error) {
	f, err := os.CreateTemp(e.options.Cache, "index-")
	if err != nil {
		return nil, pathless(err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, pathless(err)
	}
	index, err := repo.LoadIndexFile(f.Name())
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "error loading "+f.Name()+": "))
	}
	return index, nil
}

// get asks for an address, and if before says so only for what has changed.
// Credentials go only to where the repository is.
func (s *source) get(ctx context.Context, address string, before verifier) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil || req.URL.Scheme != "https" && req.URL.Scheme != "http" {
		return nil, errors.New("the repository names an address that is not HTTP")
	}
	home, err := url.Parse(s.URL)
	if err != nil {
		return nil, errors.New("the address cannot be read")
	}
	if s.Username != "" && home.Scheme == req.URL.Scheme && home.Host == req.URL.Host {
		req.SetBasicAuth(s.Username.Reveal(), s.Password.Reveal())
	}
	before.ask(req.Header)
	answer, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", redactURL(address), errors.Unwrap(err))
	}
	switch answer.StatusCode {
	case http.StatusOK:
		return answer, nil
	case http.StatusNotModified:
		if before != (verifier{}) {
			return answer, nil
		}
	}
	defer answer.Body.Close()
	if why := egress.Refusal(answer); why != "" {
		return nil, fmt.Errorf("%s: %s", redactURL(address), why)
	}
	why := answer.Status
	if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
		why += "; check the credentials of the repository"
	}
	return nil, fmt.Errorf("%s: %s", redactURL(address), why)
}

// readAll reads a body of at most limit bytes.
func readAll(body io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%w: more than %d MiB", ErrLimit, limit>>20)
	}
	return text, err
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
