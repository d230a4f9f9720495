package callback

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Forward is the whole program: it has the job process run the command that it
// was called as, and returns the exit code.
func Forward(argv []string) int {
	code, err := forward(argv)
	if err != nil {
		_, _ = os.Stderr.WriteString(base(argv[0]) + ": " + err.Error() + "\n")
	}
	return code
}

func base(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

func forward(argv []string) (int, error) {
	at, run, ok := strings.Cut(os.Getenv(Variable), ":")
	socket, err := strconv.Atoi(at)
	if !ok || err != nil || len(run) == 0 {
		return exitLost, errors.New("this name stands for a command of a Towline job and does nothing outside of one")
	}
	dir, err := os.Getwd()
	if err != nil {
		return exitRefused, err
	}
	args := append([]string{base(argv[0])}, argv[1:]...)
	message, err := request{dir: dir, args: args, environ: os.Environ()}.encode()
	if err != nil {
		return exitRefused, err
	}
	if err := fillStreams(); err != nil {
		return exitRefused, err
	}
	var ask, answer [2]int
	if err := errors.Join(syscall.Pipe2(ask[:], syscall.O_CLOEXEC), syscall.Pipe2(answer[:], syscall.O_CLOEXEC)); err != nil {
		return exitRefused, err
	}
	rights := syscall.UnixRights(0, 1, 2, ask[0], answer[1])
	if err := send(socket, []byte(run), rights); err != nil {
		return exitLost, fmt.Errorf("the job's process does not answer: %w", err)
	}
	_, _ = syscall.Close(ask[0]), syscall.Close(answer[1])
	// Writing more than a pipe holds waits for the reader. The pipe stays open
	// until this process ends: that is how the job's process learns of it.
	if _, err := os.NewFile(uintptr(ask[1]), "request").Write(message); err != nil {
		return exitLost, fmt.Errorf("the job's process does not listen: %w", err)
	}
	var code [1]byte
	if n, err := os.NewFile(uintptr(answer[0]), "answer").Read(code[:]); n != 1 {
		return exitLost, fmt.Errorf("the job's process has not answered: %w", err)
	}
	return int(code[0]), nil
}

// fillStreams opens /dev/null in place of a stream that is closed.
func fillStreams() error {
	for fd := range 3 {
		var st syscall.Stat_t
		if syscall.Fstat(fd, &st) == nil {
			continue
		}
		got, err := syscall.Open(os.DevNull, syscall.O_RDWR, 0)
		if err == nil && got != fd {
			err = syscall.Dup3(got, fd, 0)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", os.DevNull, err)
		}
	}
	return nil
}

func send(socket int, text, rights []byte) error {
	for {
		err := syscall.Sendmsg(socket, text, rights, nil, 0)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
