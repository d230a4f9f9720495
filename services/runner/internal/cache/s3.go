package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/towline/towline/services/runner/internal/egress"
)

// S3Config says where an S3-compatible store is. Keys are read from their files
// for each request, so that they can be changed at any time.
type S3Config struct {
	Endpoint      string // https://host:port
	Bucket        string
	Region        string
	PathStyle     bool // the bucket is part of the path, not of the host
	AccessKeyFile string
	SecretKeyFile string
	CA            func() string // PEM, beside the system's, as it is for each request; nil: none
}

// S3 stores entries as objects. Its requests take the way of the job they are
// made for; old objects are the business of the bucket's own rules.
type S3 struct {
	cfg  S3Config
	base *url.URL
}

const (
	s3Timeout  = 30 * time.Minute
	maxKeyFile = 4 << 10
)

// NewS3 returns a store; it connects to nothing.
func NewS3(cfg S3Config) (*S3, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the address of the S3 store %q is not http(s)://host", cfg.Endpoint)
	}
	base := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if cfg.PathStyle {
		base = base.JoinPath(cfg.Bucket)
	} else {
		base.Host = cfg.Bucket + "." + base.Host
	}
	if cfg.CA == nil {
		cfg.CA = func() string { return "" }
	}
	if _, err := egress.NewTransport("", cfg.CA()); err != nil {
		return nil, err
	}
	return &S3{cfg: cfg, base: base}, nil
}

// Get reads an object.
func (s *S3) Get(ctx context.Context, o Object) (io.ReadCloser, int64, error) {
	res, err := s.do(ctx, http.MethodGet, o, nil, 0)
	if err != nil {
		return nil, 0, err
	}
	switch res.StatusCode {
	case http.StatusOK:
		if res.ContentLength < 0 || res.ContentLength > MaxEntry {
			res.Body.Close()
			return nil, 0, fmt.Errorf("the S3 store announces an object of %d bytes", res.ContentLength)
		}
		return res.Body, res.ContentLength, nil
	case http.StatusNotFound:
		res.Body.Close()
		return nil, 0, ErrMissing
	}
	return nil, 0, refusal(res)
}

// Put writes an object; the store replaces it as a whole.
func (s *S3) Put(ctx context.Context, o Object, size int64, content io.Reader) error {
	res, err := s.do(ctx, http.MethodPut, o, content, size)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		return refusal(res)
	}
	return res.Body.Close()
}

func (s *S3) do(ctx context.Context, method string, o Object, body io.Reader, size int64) (*http.Response, error) {
	access, err := readKey(s.cfg.AccessKeyFile)
	if err != nil {
		return nil, err
	}
	secret, err := readKey(s.cfg.SecretKeyFile)
	if err != nil {
		return nil, err
	}
	target := s.base.JoinPath("project", strconv.FormatInt(o.Project, 10), o.Name)
	req, err := http.NewRequestWithContext(ctx, method, target.String(), body) //nolint:gosec // G704: the address is the operator's, the name a digest
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	req.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	req = signer.SignV4(*req, access, secret, "", s.cfg.Region)
	t, err := egress.NewTransport(o.Via, s.cfg.CA())
	if err != nil {
		return nil, err
	}
	// The way depends on the job, so that a connection serves one request.
	t.DisableKeepAlives = true
	client := &http.Client{Transport: t, Timeout: s3Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req) //nolint:gosec // G704: as above
	if err != nil {
		return nil, fmt.Errorf("the S3 store at %s cannot be reached: %w; it must be among the tunnel's --egress-hosts", s.base.Host, errors.Unwrap(err))
	}
	return res, nil
}

// refusal is what the store says, with its own words for the operator.
func refusal(res *http.Response) error {
	defer res.Body.Close()
	const most = 1 << 10
	b, _ := io.ReadAll(io.LimitReader(res.Body, most))
	return fmt.Errorf("the S3 store answers %s: %q", res.Status, b)
}

func readKey(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // G703: the operator names the file
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	key := strings.TrimSpace(string(b))
	if key == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return key, nil
}
