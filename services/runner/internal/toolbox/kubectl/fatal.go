package kubectl

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"sync"
)

// exitCode is what upstream's way out of the process, cmdutil.CheckErr, becomes
// here.
type exitCode struct {
	code int
	msg  string
}

// running are the commands by the goroutine that runs them. Upstream calls
// CheckErr without a word about the command, and cp does so in a goroutine of
// its own, where a panic would end the whole process.
var running = struct {
	sync.Mutex
	commands map[int64]*command
}{commands: map[int64]*command{}}

// register makes fatal errors find the command; the result takes it back.
func register(c *command) func() {
	id, _ := goroutine()
	running.Lock()
	defer running.Unlock()
	running.commands[id] = c
	return func() {
		running.Lock()
		defer running.Unlock()
		delete(running.commands, id)
	}
}

// fatal ends the command that calls it, or the goroutine of a command and with
// it the command.
func fatal(msg string, code int) {
	id, parent := goroutine()
	running.Lock()
	mine, of := running.commands[id], running.commands[parent]
	running.Unlock()
	switch {
	case mine != nil:
		panic(exitCode{code, msg})
	case of != nil:
		of.failed.CompareAndSwap(nil, &exitCode{code, msg})
		of.cancel()
	default:
		_, _ = os.Stderr.WriteString("kubectl: " + msg + "\n")
	}
	runtime.Goexit()
}

// goroutine returns the number of the calling goroutine and of the one that
// created it, 0 where there is none, from the first and the last line of its
// stack trace: Go has no other way to tell.
func goroutine() (id, parent int64) {
	buf := make([]byte, 4<<10)
	for {
		n := runtime.Stack(buf, false)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	return numberAfter(buf, "goroutine "), numberAfter(buf[max(0, bytes.LastIndex(buf, []byte("created by "))):], " in goroutine ")
}

func numberAfter(text []byte, word string) int64 {
	_, rest, ok := bytes.Cut(text, []byte(word))
	if !ok {
		return 0
	}
	digits := rest[:len(rest)-len(bytes.TrimLeft(rest, "0123456789"))]
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
