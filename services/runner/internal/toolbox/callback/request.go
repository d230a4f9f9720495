package callback

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// Variable is the environment variable that tells a program where to call: the
// descriptor of the socket and the name of the run, as "3:XYZ".
const Variable = "TOWLINE_CALL"

// Limits of one request.
const (
	maxRequest = 4 << 20 // bytes: twice what Linux lets a program be started with by default
	maxStrings = 1 << 16 // arguments and variables together
)

// lengthBytes is the size of the length in front of a request.
const lengthBytes = 4

// descriptors are what a call hands over: its three streams, the pipe with the
// request, which the caller keeps open for as long as it lives, and the pipe
// for the answer.
const descriptors = 5

// Exit codes of a call that was not carried out.
const (
	exitRefused = 126
	exitLost    = 125
)

// request is what a call asks for.
type request struct {
	dir     string
	args    []string // with the name
	environ []string
}

// encode makes a message of the request: its length, and its strings, each of
// which ends with a zero byte.
func (r request) encode() ([]byte, error) {
	var b strings.Builder
	for _, s := range append(append([]string{r.dir, strconv.Itoa(len(r.args))}, r.args...), r.environ...) {
		b.WriteString(s)
		b.WriteByte(0)
	}
	if b.Len() > maxRequest {
		return nil, fmt.Errorf("arguments and environment of %d bytes are more than %d", b.Len(), maxRequest)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(b.Len())), b.String()...), nil
}

// readRequest reads one message.
func readRequest(r io.Reader) (request, error) {
	var head [lengthBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return request{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxRequest {
		return request{}, fmt.Errorf("request of %d bytes is larger than %d", n, maxRequest)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return request{}, err
	}
	return decode(string(body))
}

var errMalformed = errors.New("request is malformed")

func decode(body string) (request, error) {
	if !strings.HasSuffix(body, "\x00") || strings.Count(body, "\x00") > maxStrings {
		return request{}, errMalformed
	}
	fields := strings.Split(strings.TrimSuffix(body, "\x00"), "\x00")
	const before = 2 // directory and number of arguments
	if len(fields) < before || !path.IsAbs(fields[0]) {
		return request{}, errMalformed
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil || n < 1 || n > len(fields)-before {
		return request{}, errMalformed
	}
	return request{dir: path.Clean(fields[0]), args: fields[before : before+n], environ: fields[before+n:]}, nil
}
