// Package curl is the part of the command curl that deploy scripts use, over
// net/http: requests with methods, headers, bodies, forms, cookies and
// credentials, redirects, retries, and curl's messages and exit codes.
//
// The toolbox calls it for each `curl` of a script. Every request goes through
// the toolbox's proxy, which decides where a job may connect; options that
// would choose another way (-x, --resolve, --interface) are refused. Bodies are
// streamed. It speaks HTTP and HTTPS and nothing else.
package curl
