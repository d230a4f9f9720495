package selfcheck

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// Redis looks whether the ledger answers to the runner's user.
func Redis(l *ledger.Ledger) Check {
	return Check{"redis", func(ctx context.Context) (string, error) {
		if err := l.Ping(ctx); err != nil {
			return "", err
		}
		n, err := l.Tickets(ctx)
		if err != nil {
			return "", fmt.Errorf("redis answers, but refuses the ledger's keys (%w): check the rules of the user", err)
		}
		if n == 0 {
			return "no free runner: either all have jobs, or none is ready", nil
		}
		return fmt.Sprintf("%d free places for jobs", n), nil
	}}
}

// Policy looks whether policy is ready and publishes keys.
func Policy(client *http.Client, base string) Check {
	base = strings.TrimRight(base, "/")
	return Check{"policy", func(ctx context.Context) (string, error) {
		if _, err := ready(ctx, client, base); err != nil {
			return "", fmt.Errorf("policy: %w", err)
		}
		body, code, err := get(ctx, client, base+policyapi.PathJWKS)
		if err != nil || code != http.StatusOK {
			return "", fmt.Errorf("policy publishes no keys (status %d): its log says why", code)
		}
		keys, err := grant.ParseJWKS(body)
		if err != nil || len(keys) == 0 {
			return "", errors.New("policy publishes no key that verifies grants: its log says why")
		}
		return fmt.Sprintf("ready, %d keys for grants", len(keys)), nil
	}}
}

// Tunnel looks at the tunnel's links other than GitLab.
func Tunnel(client *http.Client, base string) Check {
	return Check{"tunnel", func(ctx context.Context) (string, error) {
		r, err := report(ctx, client, base)
		if err != nil {
			return "", fmt.Errorf("tunnel: %w", err)
		}
		delete(r.Links, "gitlab")
		if err := down(r); err != nil {
			return "", err
		}
		return "up: " + strings.Join(slices.Sorted(maps.Keys(r.Links)), ", "), nil
	}}
}

// GitLab looks whether GitLab accepts the tunnel's token.
func GitLab(client *http.Client, base string) Check {
	return Check{"gitlab", func(ctx context.Context) (string, error) {
		r, err := report(ctx, client, base)
		if err != nil {
			return "", errors.New("nobody knows: the tunnel does not answer")
		}
		state := r.Links["gitlab"]
		if !strings.HasPrefix(state, "up") {
			return "", errors.New(state)
		}
		return "the tunnel's token is accepted", nil
	}}
}

// Egress looks whether the proxy answers, and to nobody without a grant.
func Egress(dial func(ctx context.Context, network, address string) (net.Conn, error), address string) Check {
	return Check{"egress", func(ctx context.Context) (string, error) {
		c, err := dial(ctx, "tcp", address)
		if err != nil {
			return "", fmt.Errorf("the tunnel's egress proxy at %s does not answer (%w): check the tunnel, the NetworkPolicies and the certificates", address, err)
		}
		defer c.Close()
		if d, ok := ctx.Deadline(); ok {
			if err := c.SetDeadline(d); err != nil {
				return "", err
			}
		}
		if _, err := io.WriteString(c, "CONNECT selfcheck.invalid:443 HTTP/1.1\r\nHost: selfcheck.invalid:443\r\n\r\n"); err != nil {
			return "", err
		}
		resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c, maxAnswer)), nil)
		if err != nil {
			return "", fmt.Errorf("what answers at %s is not the egress proxy: %w", address, err)
		}
		if err := resp.Body.Close(); err != nil {
			return "", err
		}
		if resp.StatusCode != http.StatusProxyAuthRequired {
			return "", fmt.Errorf("the proxy at %s answers %d to a request without a grant: it has to refuse that with 407", address, resp.StatusCode)
		}
		return "answers, and to nobody without a grant", nil
	}}
}

// ready asks a service whether all its links are up.
func ready(ctx context.Context, client *http.Client, base string) (service.Report, error) {
	r, err := report(ctx, client, base)
	if err != nil {
		return r, err
	}
	return r, down(r)
}

// down names the links that are down.
func down(r service.Report) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(r.Links)) {
		if state := r.Links[name]; !strings.HasPrefix(state, "up") {
			faults = append(faults, fmt.Errorf("%s: %s", name, state))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("is not ready: %w", errors.Join(faults...))
}

func report(ctx context.Context, client *http.Client, base string) (service.Report, error) {
	var r service.Report
	body, code, err := get(ctx, client, strings.TrimRight(base, "/")+"/readyz")
	if err != nil {
		return r, fmt.Errorf("does not answer at %s (%w): check its pods and the NetworkPolicies", base, err)
	}
	if err := json.Unmarshal(body, &r); err != nil || r.Links == nil {
		return r, fmt.Errorf("what answers at %s is something else (status %d)", base, code)
	}
	return r, nil
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return body, resp.StatusCode, err
}
