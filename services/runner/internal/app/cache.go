package app

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/cache"
	"github.com/towline/towline/services/runner/internal/worker"
)

// Defaults of the cache in a directory.
const (
	defaultCacheAge  = 14 * 24 * time.Hour
	defaultCacheSize = 10 << 30
)

// bindCache binds the options of the cache, of which there is none by default.
func (c *settings) bindCache(s *service.Settings) {
	s.String(&c.cacheDir, "cache-dir", "", "directory for the caches of jobs, for example a volume; empty keeps none there")
	s.Duration(&c.cacheMaxAge, "cache-max-age", defaultCacheAge, "how long a cache in --cache-dir is kept after its last use")
	s.Int(&c.cacheMaxSize, "cache-max-size", defaultCacheSize, "bytes that all caches in --cache-dir may take; those unused for longest go first")
	s.String(&c.cacheS3Endpoint, "cache-s3-endpoint", "", "https://host of an S3-compatible store for caches, which the tunnel's --egress-hosts must name; empty uses none")
	s.String(&c.cacheS3Bucket, "cache-s3-bucket", "", "bucket for caches; what is old there, the bucket's own rules remove")
	s.String(&c.cacheS3Region, "cache-s3-region", "us-east-1", "region that requests to the store are signed for")
	s.String(&c.cacheS3AccessKeyFile, "cache-s3-access-key-file", "", "file with the store's access key id")
	s.String(&c.cacheS3SecretKeyFile, "cache-s3-secret-key-file", "", "file with the store's secret access key")
	s.Bool(&c.cacheS3PathStyle, "cache-s3-path-style", true, "the bucket is part of the path; false: of the host name")
}

// cacheFaults are the options of the cache that cannot be used.
func (c *settings) cacheFaults() []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.cacheMaxAge <= 0 {
		bad("--cache-max-age=%s: use more than 0", c.cacheMaxAge)
	}
	if c.cacheMaxSize <= 0 {
		bad("--cache-max-size=%d: use more than 0 bytes", c.cacheMaxSize)
	}
	if c.cacheS3Endpoint == "" {
		return errs
	}
	if c.cacheDir != "" {
		bad("--cache-dir and --cache-s3-endpoint are both set: choose one")
	}
	if u, err := url.Parse(c.cacheS3Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		bad("--cache-s3-endpoint=%s: use https://host or https://host:port", c.cacheS3Endpoint)
	}
	for name, value := range map[string]string{
		"cache-s3-bucket": c.cacheS3Bucket, "cache-s3-region": c.cacheS3Region,
		"cache-s3-access-key-file": c.cacheS3AccessKeyFile, "cache-s3-secret-key-file": c.cacheS3SecretKeyFile,
	} {
		if value == "" {
			bad("--%s is missing: --cache-s3-endpoint needs it", name)
		}
	}
	return errs
}

// caching is the supervisor's side of the cache.
type caching struct {
	server   *cache.Server
	listener net.Listener
	prune    func(context.Context) error // nil where the store does it
}

// openCache makes what the settings ask for, or nil.
func (r *runner) openCache(ctx context.Context, ca func() string) (*caching, error) {
	c := r.cfg
	var made caching
	var store cache.Store
	switch {
	case c.cacheDir != "":
		dir, err := cache.OpenDirectory(c.cacheDir, c.cacheMaxAge, int64(c.cacheMaxSize), r.log)
		if err != nil {
			return nil, fmt.Errorf("--cache-dir: %w", err)
		}
		store, made.prune = dir, dir.Run
	case c.cacheS3Endpoint != "":
		s3, err := cache.NewS3(cache.S3Config{
			Endpoint: c.cacheS3Endpoint, Bucket: c.cacheS3Bucket, Region: c.cacheS3Region, PathStyle: c.cacheS3PathStyle,
			AccessKeyFile: c.cacheS3AccessKeyFile, SecretKeyFile: c.cacheS3SecretKeyFile, CA: ca,
		})
		if err != nil {
			return nil, fmt.Errorf("--cache-s3-endpoint: %w", err)
		}
		store = s3
	default:
		return nil, nil
	}
	l, err := service.Listen(ctx, "cache", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	made.server, made.listener = cache.NewServer(store, r.log), l
	return &made, nil
}

// join names the cache's port to the jobs.
func (c *caching) join(e *worker.Endpoint) *cache.Server {
	if c == nil {
		return nil
	}
	e.CachePort = port(c.listener)
	return c.server
}

// stages are what the cache has to do all the time.
func (c *caching) stages(r *runner) []service.Stage {
	if c == nil {
		return nil
	}
	out := []service.Stage{{Name: "cache", Run: func(ctx context.Context) error { return service.Serve(ctx, c.listener, c.server, r.log) }}}
	if c.prune != nil {
		out = append(out, service.Stage{Name: "cache-prune", Run: c.prune})
	}
	return out
}
