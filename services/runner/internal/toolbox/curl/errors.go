package curl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// Exit codes of curl.
const (
	exitProtocol  = 1
	exitUsage     = 2
	exitURL       = 3
	exitProxyName = 5
	exitHostName  = 6
	exitConnect   = 7
	exitPartial   = 18
	exitHTTP      = 22
	exitWrite     = 23
	exitRead      = 26
	exitTimeout   = 28
	exitTLS       = 35
	exitRedirects = 47
	exitEmpty     = 52
	exitReceive   = 56
	exitCert      = 60
	exitCAFile    = 77
)

// failure is a transfer that ended with one of curl's exit codes.
type failure struct {
	code int
	text string
}

func (f failure) Error() string { return f.text }

// classified puts an error of net/http into curl's terms.
func classified(err error, host string) failure {
	var f failure
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var timeout net.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return failure{exitTimeout, "Operation timed out"}
	case errors.As(err, &dns):
		return failure{exitHostName, "Could not resolve host: " + host}
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid), errors.As(err, &verification):
		return failure{exitCert, "SSL certificate problem: " + plain(err)}
	case errors.As(err, &record), errors.As(err, &alert), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return failure{exitTLS, "SSL connect error: " + plain(err)}
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure{exitConnect, fmt.Sprintf("Failed to connect to %s: Couldn't connect to server", host)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return failure{exitPartial, "transfer closed with outstanding read data remaining"}
	case errors.Is(err, io.EOF), strings.Contains(err.Error(), "server closed idle connection"):
		return failure{exitEmpty, "Empty reply from server"}
	case errors.Is(err, syscall.ECONNRESET):
		return failure{exitReceive, "Recv failure: Connection reset by peer"}
	case strings.Contains(err.Error(), "proxyconnect"):
		return failure{exitConnect, "Failed to connect to the way out of this job"}
	}
	// A CONNECT that the proxy denies ends with the status of its answer.
	return failure{exitReceive, plain(err)}
}

// plain is an error without the address, which may hold a password.
func plain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}
