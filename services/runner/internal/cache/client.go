package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// transferTimeout bounds one transfer between a job and its supervisor.
const transferTimeout = 30 * time.Minute

// Client reads and writes the entries of a grant, for the job process.
type Client struct {
	grant *Grant
	http  *http.Client
}

// NewClient returns a client; it connects to nothing. Close it after use.
func NewClient(g *Grant) *Client {
	return &Client{grant: g, http: &http.Client{Transport: &http.Transport{}, Timeout: transferTimeout}}
}

// Close frees the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Get writes what is stored under a key of an entry into the empty file to. It
// returns ErrMissing when there is nothing.
func (c *Client) Get(ctx context.Context, entry, key int, to *os.File) error {
	res, err := c.do(ctx, http.MethodGet, fmt.Sprintf("/%d/%d", entry, key), nil, 0)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		_, err := io.Copy(to, io.LimitReader(res.Body, MaxEntry))
		return err
	case http.StatusNotFound:
		return ErrMissing
	}
	return said(res)
}

// Put stores size bytes under the entry's own key.
func (c *Client) Put(ctx context.Context, entry int, content io.Reader, size int64) error {
	res, err := c.do(ctx, http.MethodPut, fmt.Sprintf("/%d", entry), content, size)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		return said(res)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.grant.URL+path, body)
	if err != nil {
		return nil, errors.New("the cache's address cannot be read") // it is a secret
	}
	req.ContentLength = size
	res, err := c.http.Do(req)
	if err != nil {
		return nil, errors.Unwrap(err) // without the address
	}
	return res, nil
}

func said(res *http.Response) error {
	const most = 1 << 10
	b, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil || len(b) == 0 {
		return errors.New(res.Status)
	}
	return errors.New(strings.TrimSpace(string(b)))
}
