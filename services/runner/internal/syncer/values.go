package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/pace"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/egress"
	"github.com/towline/towline/services/runner/internal/release"
)

// valuesTimeout bounds the answers of all addresses that an entry has values of,
// valuesBegin how long one of them takes to begin.
const (
	valuesTimeout = 2 * time.Minute
	valuesBegin   = 30 * time.Second
)

// chartValues are the sources of values in their order. ConfigMaps and Secrets
// are read by the engine.
func chartValues(ctx context.Context, req *Request, files []syncspec.File) ([]release.Values, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, valuesTimeout, pace.Late(fmt.Sprintf("the addresses of the entry's values take longer than %s together", valuesTimeout)))
	defer cancel()
	var out []release.Values
	for i, v := range req.Task.Entry.Chart.Values {
		next, err := oneSource(ctx, req, files, i, v)
		if err != nil {
			return nil, fmt.Errorf("values[%d]: %w", i, err)
		}
		next.Source = fmt.Sprintf("values[%d] (%s)", i, next.Source)
		out = append(out, next)
	}
	return out, nil
}

func oneSource(ctx context.Context, req *Request, files []syncspec.File, i int, v agentconfig.ChartValues) (release.Values, error) {
	switch {
	case v.ConfigMap != nil:
		return release.Values{Source: "ConfigMap " + v.ConfigMap.Name, ConfigMap: (*release.Reference)(v.ConfigMap)}, nil
	case v.Secret != nil:
		return release.Values{Source: "Secret " + v.Secret.Name, Secret: (*release.Reference)(v.Secret)}, nil
	case v.URL != nil:
		text, err := req.fetches.values(ctx, v.URL.URL, func(ctx context.Context) ([]byte, error) { return fetchValues(ctx, req, v.URL) })
		return release.Values{Source: address(v.URL.URL), Text: text}, err
	case v.File == "":
		return release.Values{Source: "inline", Text: []byte(v.Inline)}, nil
	}
	name := v.File
	if v.Elsewhere() {
		name = agentconfig.BundledValues(i)
	}
	at := slices.IndexFunc(files, func(f syncspec.File) bool { return f.Path == name })
	if at < 0 {
		return release.Values{}, fmt.Errorf("the repository has no file %s", v.File)
	}
	return release.Values{Source: v.File, Text: append([]byte{}, files[at].Content...)}, nil
}

// address is a URL for people: a query may hold what is not for everybody.
func address(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(an address that cannot be read)"
	}
	u.RawQuery = ""
	return u.Redacted()
}

// fetchValues asks an address as GitLab's agent did: an answer is YAML or JSON,
// and 204 is no values.
func fetchValues(ctx context.Context, req *Request, v *agentconfig.ValuesURL) ([]byte, error) {
	if req.proxy() == "" {
		return nil, errNoWay
	}
	transport, err := egress.NewTransport(req.proxy(), req.OutsideCA)
	if err != nil {
		return nil, err
	}
	defer transport.CloseIdleConnections()
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, v.URL, nil)
	if err != nil {
		return nil, errors.New("the address cannot be read")
	}
	get.Header.Set("Accept", "application/yaml, application/json;q=0.9")
	get.Header.Set("User-Agent", "towline")
	answer, err := (&http.Client{Transport: pace.Transport{Pace: pace.Slowest, Begin: valuesBegin, Next: transport}}).Do(get)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address(v.URL), cause(ctx, err))
	}
	defer answer.Body.Close()
	text, err := readValues(answer, v.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address(v.URL), cause(ctx, err))
	}
	return text, nil
}

// cause is an error of the client without the address, which may hold a query,
// or why ctx has ended.
func cause(ctx context.Context, err error) error {
	if ended := context.Cause(ctx); ended != nil {
		return ended
	}
	if u := new(url.Error); errors.As(err, &u) {
		return u.Err
	}
	return err
}

// readable are the media types of values. A page that asks for a password is
// none of them.
var readable = []string{"application/yaml", "application/json", "application/x-yaml", "text/yaml", "text/x-yaml", "text/plain"}

func readValues(answer *http.Response, limit int64) ([]byte, error) {
	switch answer.StatusCode {
	case http.StatusNoContent:
		return []byte("{}"), nil
	case http.StatusOK:
	default:
		if why := egress.Refusal(answer); why != "" {
			return nil, errors.New(why)
		}
		return nil, errors.New(answer.Status)
	}
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); err != nil || !slices.Contains(readable, kind) {
		return nil, fmt.Errorf("it answers with %q; values are application/yaml or application/json", answer.Header.Get("Content-Type"))
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("more than %d bytes; raise max_file_size, or make it smaller", limit)
	}
	return text, err
}
