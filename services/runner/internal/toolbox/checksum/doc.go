// Package checksum is base64 and the digest commands of coreutils (md5sum,
// sha1sum, sha256sum, sha512sum) with their options, messages and exit codes.
//
// The toolbox calls them for scripts. They stream: no file is held in memory.
package checksum
