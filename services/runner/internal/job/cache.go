package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/archive"
	"github.com/towline/towline/services/runner/internal/attempts"
	"github.com/towline/towline/services/runner/internal/cache"
)

// cacheFile is a cache on its way; there is one at a time.
const cacheFile = ".cache"

// eachCache calls fn for the caches of the job that have something to store.
func (r *run) eachCache(fn func(i int, c jobspec.Cache, e cache.Entry)) {
	for i, c := range r.spec.Job.Cache {
		if i < len(r.spec.Cache.Entries) && (len(c.Paths) > 0 || c.Untracked) {
			fn(i, c, r.spec.Cache.Entries[i])
		}
	}
}

// restoreCache unpacks the caches of the job. Only a fault in its definition is
// an error.
func (r *run) restoreCache(ctx context.Context) error {
	if r.spec.Cache == nil || len(r.spec.Job.Cache) == 0 {
		return nil
	}
	return r.log.section("restore_cache", "Restoring cache", func() error {
		if r.spec.Cache.Fault != "" {
			return &configError{r.spec.Cache.Fault}
		}
		ctx, stop := r.scriptContext(ctx, 0)
		defer stop()
		client := cache.NewClient(r.spec.Cache)
		defer client.Close()
		r.eachCache(func(i int, _ jobspec.Cache, e cache.Entry) { r.restore(ctx, client, i, e) })
		return context.Cause(ctx)
	})
}

func (r *run) restore(ctx context.Context, client *cache.Client, i int, e cache.Entry) {
	for _, n := range e.Notices {
		r.log.warn(plain(n))
	}
	switch {
	case len(e.Keys) == 0:
		r.log.info("Skipping cache extraction due to empty cache key")
		return
	case !e.Reads():
		r.log.info(fmt.Sprintf("Not downloading cache %s due to policy", plain(e.Keys[0])))
		return
	}
	for k, key := range e.Keys {
		r.log.info(fmt.Sprintf("Checking cache for %s...", plain(key)))
		missing := false
		stage := attempts.Stage{
			Variable: "RESTORE_CACHE_ATTEMPTS", Value: r.env.get("RESTORE_CACHE_ATTEMPTS"), Warn: r.log.warn,
			Try: func(ctx context.Context) error {
				err := r.fetchCache(ctx, client, i, k)
				if missing = errors.Is(err, cache.ErrMissing); missing {
					return nil // and no attempt would change that
				}
				return err
			},
			Failed: func(err error) error { r.log.warn(plain(err.Error())); return nil },
		}
		err := stage.Do(ctx)
		switch {
		case missing:
			r.log.warn("file does not exist")
		case err == nil:
			r.log.info("Successfully extracted cache")
			return
		case ctx.Err() != nil:
			return
		default:
			r.log.warn(plain(err.Error()))
		}
		r.log.warn("Failed to extract cache")
	}
}

func (r *run) fetchCache(ctx context.Context, client *cache.Client, entry, key int) error {
	packed, err := r.openCacheFile()
	if err != nil {
		return err
	}
	defer r.closeCacheFile(packed)
	if err := client.Get(ctx, entry, key, packed); err != nil {
		return err
	}
	project, err := r.project()
	if err != nil {
		return err
	}
	defer project.Close()
	return archive.Extract(ctx, packed, project, archive.DownloadLimits, r.log)
}

func (r *run) openCacheFile() (*os.File, error) {
	_ = r.env.temp.RemoveAll(cacheFile)
	return r.env.temp.OpenFile(cacheFile, os.O_RDWR|os.O_CREATE|os.O_EXCL, privateFile)
}

func (r *run) closeCacheFile(f *os.File) {
	f.Close()
	_ = r.env.temp.Remove(cacheFile)
}

// archiveCache saves the caches of the job that ended this way. Nothing of it
// fails the job.
func (r *run) archiveCache(ctx context.Context, failed bool) {
	if r.spec.Cache == nil || r.spec.Cache.Fault != "" {
		return
	}
	wanted := false
	r.eachCache(func(_ int, c jobspec.Cache, _ cache.Entry) { wanted = wanted || due(c.When, failed) })
	if !wanted {
		return
	}
	name, header := "archive_cache", "Saving cache for successful job"
	if failed {
		name, header = "archive_cache_on_failure", "Saving cache for failed job"
	}
	_ = r.log.section(name, header, func() error {
		client := cache.NewClient(r.spec.Cache)
		defer client.Close()
		r.eachCache(func(i int, c jobspec.Cache, e cache.Entry) {
			if due(c.When, failed) && ctx.Err() == nil {
				r.save(ctx, client, i, c, e)
			}
		})
		return nil
	})
}

func (r *run) save(ctx context.Context, client *cache.Client, i int, c jobspec.Cache, e cache.Entry) {
	switch {
	case len(e.Keys) == 0:
		r.log.info("Skipping cache archiving due to empty cache key")
		return
	case !e.Writes():
		r.log.info(fmt.Sprintf("Not uploading cache %s due to policy", plain(e.Keys[0])))
		return
	}
	r.log.info(fmt.Sprintf("Creating cache %s...", plain(e.Keys[0])))
	if err := r.storeCache(ctx, client, i, c); err != nil {
		r.log.warn(plain(err.Error()))
		r.log.warn("Failed to create cache")
		return
	}
	r.log.info("Created cache")
}

func (r *run) storeCache(ctx context.Context, client *cache.Client, i int, c jobspec.Cache) error {
	project, err := r.project()
	if err != nil {
		return err
	}
	defer project.Close()
	rules := r.rules(ctx, c.Paths, nil, c.Untracked)
	files, err := archive.Select(ctx, project, r.spec.ProjectDir, rules, archive.UploadLimits, r.log)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("no files to cache")
	}
	packed, err := r.openCacheFile()
	if err != nil {
		return err
	}
	defer r.closeCacheFile(packed)
	if err := archive.Write(ctx, packed, archive.TarZstd, project, files, archive.UploadLimits); err != nil {
		return err
	}
	size, err := packed.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	return client.Put(ctx, i, io.NewSectionReader(packed, 0, size), size)
}
