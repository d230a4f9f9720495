package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/towline/towline/pkg/certs"
)

// Limits of the webhook.
const (
	maxToken  = 16 << 10
	maxAnswer = 64 << 10
)

// Webhook posts records to an address, as {"records": [...]}.
type Webhook struct {
	url       string
	tokenFile string // read for each request, so that it may change; "" sends none
	client    *http.Client
}

// NewWebhook returns one. The authorities of caFile count beside the system's, as
// they are when a connection is made; "" are none. Errors of the address never
// quote it: it may hold a secret.
func NewWebhook(address, tokenFile, caFile string) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("--audit-webhook: use http://host:port/path or https://host:port/path")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if caFile != "" {
		trust, err := certs.Beside(caFile)
		if err != nil {
			return nil, fmt.Errorf("--audit-webhook-ca-file: %w", err)
		}
		client.Transport = trust.Outside()
	}
	return &Webhook{url: address, tokenFile: tokenFile, client: client}, nil
}

// Send implements Destination.
func (w *Webhook) Send(ctx context.Context, records []json.RawMessage) error {
	body, err := json.Marshal(struct {
		Records []json.RawMessage `json:"records"`
	}{records})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the address cannot be used")
	}
	r.Header.Set("Content-Type", "application/json")
	if w.tokenFile != "" {
		token, err := readToken(w.tokenFile)
		if err != nil {
			return fmt.Errorf("--audit-webhook-token-file: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := w.client.Do(r)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // without the address
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}

func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	token := strings.TrimSpace(string(b))
	switch {
	case err != nil:
		return "", err
	case len(b) > maxToken, token == "", strings.ContainsAny(token, "\r\n"):
		return "", fmt.Errorf("%s: want one token in one line", path)
	}
	return token, nil
}
