package artifacts

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/towline/towline/services/runner/internal/archive"
)

// Attempts of one upload (runner-api sheet, section 13.1).
const (
	uploadTries      = 3
	unavailableTries = 6
	maxUploadPause   = 5 * time.Second
)

// Names of an artifact that has none.
const (
	unnamed   = "artifacts" // the definition gives none
	emptyName = "default"   // the name resolves to nothing
)

// Upload is one entry of artifacts, its variables resolved.
type Upload struct {
	Project  *os.Root
	Dir      string // its absolute path
	Rules    archive.Rules
	Name     *string // nil when the definition gives none
	Type     string
	Format   string
	ExpireIn string
}

// filename is what GitLab stores the file as.
func (u *Upload) filename(f archive.Format) string {
	name := unnamed
	if u.Name != nil {
		if name = path.Base(*u.Name); name == "." || name == "/" {
			name = emptyName
		}
	}
	return name + f.Extension()
}

// Upload selects, packs and sends. That nothing matches is no error. Every error
// but the end of ctx is an *Error and has been logged.
func (c *Client) Upload(ctx context.Context, u Upload) error {
	c.Log.Notice("Uploading artifacts...")
	if u.Type == "" {
		u.Type = "archive"
	}
	if u.Format == "" {
		u.Format = string(archive.Zip)
	}
	err := c.upload(ctx, u)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		c.Log.Error(err.Error())
		return failed("%v", err)
	}
	return nil
}

func (c *Client) upload(ctx context.Context, u Upload) error {
	files, err := archive.Select(ctx, u.Project, u.Dir, u.Rules, archive.UploadLimits, c.Log)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		c.Log.Error("No files to upload")
		return nil
	}
	packed, err := c.tempFile()
	if err != nil {
		return err
	}
	defer c.discard(packed)
	format := archive.Format(u.Format)
	if err := archive.Write(ctx, packed, format, u.Project, files, archive.UploadLimits); err != nil {
		return err
	}
	size, err := packed.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	query := url.Values{"artifact_format": {u.Format}, "artifact_type": {u.Type}}
	if u.ExpireIn != "" {
		query.Set("expire_in", u.ExpireIn)
	}
	return c.send(ctx, u.Type, query, u.filename(format), io.NewSectionReader(packed, 0, size))
}

// tempName is the archive on its way; there is one at a time.
const tempName = ".artifacts"

func (c *Client) tempFile() (*os.File, error) {
	const private = 0o600
	_ = c.Temp.RemoveAll(tempName) // left by an attempt that was ended
	return c.Temp.OpenFile(tempName, os.O_RDWR|os.O_CREATE|os.O_EXCL, private)
}

func (c *Client) discard(f *os.File) {
	f.Close()
	_ = c.Temp.Remove(tempName)
}

// outcome is what an attempt to upload came to.
type outcome int

const (
	stored outcome = iota + 1
	final          // no attempt can help
	again
	unavailable // 503: worth more attempts
	redirected
)

// send uploads one file, as often as it takes.
func (c *Client) send(ctx context.Context, kind string, query url.Values, name string, file *io.SectionReader) error {
	base := c.base
	pause := time.Second
	for n := 1; ; n++ {
		out, next, err := c.post(ctx, base, kind, query, name, file)
		most := uploadTries
		switch out {
		case stored:
			return nil
		case final:
			return err
		case redirected:
			base = next
		case unavailable:
			most = unavailableTries
		case again:
		}
		if n >= most || ctx.Err() != nil {
			return err
		}
		c.Log.Warn("Retrying...")
		if !c.pause(ctx, pause) {
			return context.Cause(ctx)
		}
		pause = min(2*pause, maxUploadPause)
	}
}

// post makes one attempt. base is GitLab, or where GitLab has sent us.
func (c *Client) post(ctx context.Context, base *url.URL, kind string, query url.Values, name string, file *io.SectionReader) (outcome, *url.URL, error) {
	target := base.JoinPath("jobs", fmt.Sprint(c.Job), "artifacts")
	target.RawQuery = query.Encode()
	res, err := c.do(ctx, func() (*http.Request, error) {
		body, contentType, err := form(name, file)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), body)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", contentType)
		req.Header.Set(tokenHeader, c.Token)
		return req, nil
	})
	head := fmt.Sprintf("Uploading artifacts as %q to coordinator... ", kind)
	if err != nil {
		c.Log.Warn(head + "error  " + err.Error())
		return again, nil, fmt.Errorf("GitLab at %s does not answer: %w", base.Host, err)
	}
	defer drain(res)
	said := message(res)
	tail := fmt.Sprintf("%s  id=%d responseStatus=%s", said, c.Job, res.Status)
	switch res.StatusCode {
	case http.StatusCreated:
		c.Log.Raw(head + tail)
		return stored, nil, nil
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		next, err := redirect(base, res)
		if err != nil {
			return final, nil, err
		}
		return redirected, next, fmt.Errorf("GitLab redirects the upload again and again")
	case http.StatusForbidden:
		c.Log.Error(head + tail)
		return final, nil, fmt.Errorf("permission denied")
	case http.StatusMethodNotAllowed:
		c.Log.Error(head + tail)
		return final, nil, fmt.Errorf("artifacts are disabled on this GitLab")
	case http.StatusRequestEntityTooLarge:
		c.Log.Error(head + tail)
		return final, nil, fmt.Errorf("too large")
	case http.StatusServiceUnavailable:
		c.Log.Warn(head + tail)
		return unavailable, nil, fmt.Errorf("%s", said)
	}
	c.Log.Warn(head + tail)
	return again, nil, fmt.Errorf("%s", said)
}

// redirect is the new base: scheme and host of Location. The job token goes
// there, so it must not leave TLS; which hosts can be reached is decided by the
// egress proxy.
func redirect(base *url.URL, res *http.Response) (*url.URL, error) {
	to, err := res.Location()
	if err != nil {
		return nil, fmt.Errorf("GitLab redirects the upload to nowhere")
	}
	if to.Scheme != base.Scheme && to.Scheme != "https" {
		return nil, fmt.Errorf("refused a redirect of the upload from %s to %s", base.Scheme, to.Scheme)
	}
	next := *base
	next.Scheme, next.Host, next.User = to.Scheme, to.Host, nil
	return &next, nil
}

// form is a multipart body of one part that is read from the file: its length is
// not announced, so it goes out in chunks.
func form(name string, file *io.SectionReader) (io.Reader, string, error) {
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	if _, err := w.CreateFormFile("file", name); err != nil {
		return nil, "", err
	}
	start := head.Len()
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	all := head.Bytes()
	body := io.NewSectionReader(file, 0, file.Size())
	return io.MultiReader(bytes.NewReader(all[:start]), body, bytes.NewReader(all[start:])), w.FormDataContentType(), nil
}
