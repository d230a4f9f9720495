package policyapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
)

// ErrTooLarge is returned by ReadRequest for a body over MaxBody.
var ErrTooLarge = fmt.Errorf("body is over the limit of %d bytes", MaxBody)

// ReadRequest reads the body of POST /v1/decide: bounded, without unknown
// fields, one value only, and with the parts that every request has. The errors
// are for the caller and quote no values.
func ReadRequest(r io.Reader) (*DecideRequest, error) {
	var req DecideRequest
	if err := readStrictly(r, &req); err != nil {
		return nil, err
	}
	return &req, req.validate()
}

func readStrictly(r io.Reader, into any) error {
	limited := &io.LimitedReader{R: r, N: MaxBody + 1}
	dec := json.NewDecoder(limited)
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one JSON value")
		}
	}
	switch {
	case limited.N <= 0:
		return ErrTooLarge
	case err != nil:
		return withoutValue(err)
	}
	return nil
}

func withoutValue(err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("not valid JSON at byte %d", syntax.Offset)
	case errors.As(err, &typ):
		return fmt.Errorf("field %s: want %s", strings.TrimPrefix(typ.Field, "Evidence."), typ.Type)
	case strings.HasPrefix(err.Error(), "json: unknown field"):
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	default:
		return errors.New("not valid JSON")
	}
}

func (r *DecideRequest) validate() error {
	switch {
	case r.Job.ID <= 0:
		return errors.New("field job.id: is missing")
	case r.Job.ProjectID <= 0 || r.Job.ProjectPath == "":
		return errors.New("fields job.project_id and job.project_path: are missing")
	case r.Job.PayloadDigest == "":
		return errors.New("field job.payload_digest: is missing")
	}
	if err := r.tokens(); err != nil {
		return err
	}
	return r.Configuration.validate()
}

func (c *Configuration) validate() error {
	if c == nil {
		return nil
	}
	switch {
	case c.Source == "" || len(c.Source) > maxSource:
		return fmt.Errorf("field configuration.source: is missing or over %d bytes", maxSource)
	case len(c.Revision) != len(agentconfig.Revision(nil)):
		return errors.New("field configuration.revision: want a SHA-256 in hexadecimal")
	case len(c.Content)+len(c.Towline) > 0 && c.Files().Revision() != c.Revision:
		return errors.New("fields configuration.content and configuration.towline: are not what the revision says")
	case len(c.Faults) > MaxFaults:
		return fmt.Errorf("field configuration.faults: has over %d items", MaxFaults)
	}
	for _, f := range c.Faults {
		if len(f) > MaxFault {
			return fmt.Errorf("field configuration.faults: an item is over %d bytes", MaxFault)
		}
	}
	return nil
}

// Limits on Configuration.Faults.
const (
	MaxFaults = 20   // items
	MaxFault  = 1000 // bytes of one
)

// tokens checks the limits on ID tokens; what they say is for policy to verify.
func (r *DecideRequest) tokens() error {
	if len(r.IDTokens) > MaxIDTokens {
		return fmt.Errorf("field id_tokens: has over %d items", MaxIDTokens)
	}
	for _, t := range r.IDTokens {
		if len(t) > MaxIDToken {
			return fmt.Errorf("field id_tokens: an item is over %d bytes", MaxIDToken)
		}
	}
	if r.IDTokenKeys != nil && len(r.IDTokenKeys.JWKS) > MaxJWKS {
		return fmt.Errorf("field id_token_keys.jwks: is over %d bytes", MaxJWKS)
	}
	return nil
}

// maxSource bounds the name of a configuration's source; GitLab's full paths
// and file paths are far shorter.
const maxSource = 4096
