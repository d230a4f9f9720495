package artifacts

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/towline/towline/services/runner/internal/archive"
)

// Attempts of one download (runner-api sheet, section 13.2).
const (
	downloadTries = 3
	downloadPause = time.Second
)

// Dependency is an earlier job whose artifacts are wanted.
type Dependency struct {
	ID    int64
	Name  string
	Token string
	Size  int64 // what GitLab says of the archive, 0 if nothing
}

// Download fetches the artifacts of an earlier job and unpacks them into
// project. Every error but the end of ctx is an *Error and has been logged.
func (c *Client) Download(ctx context.Context, d Dependency, project *os.Root) error {
	c.Log.Notice(fmt.Sprintf("Downloading artifacts for %s (%d)...", d.Name, d.ID))
	err := c.download(ctx, d, project)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		c.Log.Error(err.Error())
		return failed("%v", err)
	}
	return nil
}

func (c *Client) download(ctx context.Context, d Dependency, project *os.Root) error {
	if d.Size > archive.DownloadLimits.Archive {
		return fmt.Errorf("the artifacts of %s are larger than %s: store less there", archive.Size(d.Size), archive.Size(archive.DownloadLimits.Archive))
	}
	packed, err := c.tempFile()
	if err != nil {
		return err
	}
	defer c.discard(packed)
	for n := 1; ; n++ {
		more, err := c.get(ctx, d, n == 1, packed)
		if err == nil {
			break
		}
		if !more || n == downloadTries {
			return err
		}
		c.Log.Warn("Retrying...")
		if !c.pause(ctx, downloadPause) {
			return context.Cause(ctx)
		}
	}
	return archive.Extract(ctx, packed, project, archive.DownloadLimits, c.Log)
}

// get makes one attempt to fetch the archive, and says whether another one may
// help. direct asks GitLab to point at object storage.
func (c *Client) get(ctx context.Context, d Dependency, direct bool, packed *os.File) (more bool, err error) {
	target := c.base.JoinPath("jobs", fmt.Sprint(d.ID), "artifacts")
	if direct {
		target.RawQuery = "direct_download=true"
	}
	const head = "Downloading artifacts from coordinator... "
	res, err := c.do(ctx, func() (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
		if err == nil {
			req.Header.Set(tokenHeader, d.Token)
		}
		return req, err
	})
	if err != nil {
		c.Log.Warn(head + "error  " + err.Error())
		return true, fmt.Errorf("the artifacts of job %d cannot be fetched: %w", d.ID, err)
	}
	defer drain(res)
	tail := fmt.Sprintf("host=%s id=%d responseStatus=%s", res.Request.URL.Host, d.ID, res.Status)
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		c.Log.Error(head + "unauthorized  " + tail)
		return false, fmt.Errorf("permission denied")
	case http.StatusForbidden:
		c.Log.Error(head + "forbidden  " + tail)
		return direct && res.Request.URL.Host != c.base.Host, fmt.Errorf("permission denied")
	case http.StatusNotFound:
		c.Log.Error(head + "not found  " + tail)
		return false, fmt.Errorf("the artifacts of job %d do not exist: they have expired or were erased; run that job again", d.ID)
	default:
		c.Log.Warn(head + "failed  " + tail)
		return true, fmt.Errorf("the artifacts of job %d cannot be fetched: %s", d.ID, message(res))
	}
	if err := save(res.Body, packed); err != nil {
		c.Log.Warn(head + "error  " + err.Error())
		return true, fmt.Errorf("the artifacts of job %d cannot be fetched: %w", d.ID, err)
	}
	c.Log.Raw(head + "ok        " + tail)
	return false, nil
}

// save writes an answer over what an earlier attempt left.
func save(body io.Reader, packed *os.File) error {
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := packed.Truncate(0); err != nil {
		return err
	}
	limit := archive.DownloadLimits.Archive
	n, err := io.Copy(packed, io.LimitReader(body, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("the archive is larger than %s", archive.Size(limit))
	}
	return err
}
