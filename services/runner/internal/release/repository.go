package release

import "net/url"

// redactURL is an address without its credentials.
func redactURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(an address that cannot be read)"
	}
	return u.Redacted()
}
