package worker

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/inquiry"
	"github.com/towline/towline/services/runner/internal/job"
	"github.com/towline/towline/services/runner/internal/sandbox"
)

// fakeJob is the argument with which the test binary becomes a job process that
// does what the lines of its script say.
const fakeJob = "fake-job"

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == fakeJob:
		fakeMain()
	case len(os.Args) == 2 && os.Args[1] == "sleeper":
		select {} // dies with nobody
	}
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" { // there it is the number of processes
		_ = flag.Set("test.parallel", "16") // these tests wait for processes and clocks more than they work
	}
	os.Exit(m.Run())
}

// quit ends a job process at once: with the race detector os.Exit takes a second.
func quit(code int) { syscall.Exit(code) }

// fake is a job process without a shell.
type fake struct {
	spec     job.Spec
	frames   *os.File
	controls chan job.Control
	canceled string
}

func fakeMain() {
	f := &fake{frames: os.NewFile(job.FramesFD, "frames"), controls: make(chan job.Control, 16)}
	if !receive(&f.spec) {
		quit(job.ExitDone)
	}
	go func() {
		for {
			var c job.Control
			if !receive(&c) {
				if !f.scripted("deaf") {
					quit(job.ExitOrphaned)
				}
				return
			}
			f.controls <- c
			if c.Reply != nil && f.scripted("stop reading") {
				return
			}
		}
	}()
	for _, line := range f.spec.Job.Steps[0].Script {
		word, rest, _ := strings.Cut(line, " ")
		do := commands[word]
		if do == nil {
			panic("no such command: " + line)
		}
		do(f, rest)
	}
	quit(job.ExitDone)
}

func (f *fake) scripted(line string) bool { return slices.Contains(f.spec.Job.Steps[0].Script, line) }

// receive reads one message of the supervisor.
func receive(v any) bool {
	var head [4]byte
	if _, err := io.ReadFull(os.Stdin, head[:]); err != nil {
		return false
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(os.Stdin, body); err != nil {
		return false
	}
	return json.Unmarshal(body, v) == nil
}

func (f *fake) frame(kind job.Kind, data []byte) {
	b := binary.BigEndian.AppendUint32([]byte{byte(kind)}, uint32(len(data)))
	if _, err := f.frames.Write(append(b, data...)); err != nil {
		quit(job.ExitProtocol)
	}
}

func (f *fake) event(e job.Event) {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	f.frame(job.KindEvent, b)
}

// commands are the lines that a script may have.
var commands = map[string]func(f *fake, arg string){
	"print":    func(f *fake, arg string) { f.frame(job.KindStdout, []byte(arg+"\n")) },
	"raw":      func(_ *fake, arg string) { fmt.Fprintln(os.Stderr, arg) },
	"start":    (*fake).start,
	"result":   (*fake).result,
	"event":    func(f *fake, arg string) { f.frame(job.KindEvent, []byte(arg)) },
	"bytes":    func(f *fake, arg string) { s, _ := strconv.Unquote(arg); _, _ = f.frames.WriteString(s) },
	"exit":     func(_ *fake, arg string) { n, _ := strconv.Atoi(arg); quit(n) },
	"die":      func(*fake, string) { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} },
	"hang":     func(*fake, string) { select {} },
	"deaf":     func(*fake, string) {}, // does not end with its supervisor's pipe
	"get":      (*fake).get,
	"until":    (*fake).until,
	"flood":    (*fake).flood,
	"reply":    (*fake).reply,
	"stop":     func(*fake, string) {}, // reads nothing after the first reply
	"ask":      (*fake).ask,
	"self":     (*fake).self,
	"litter":   (*fake).litter,
	"recurse":  func(*fake, string) { fmt.Fprintln(io.Discard, endless(0)) },
	"allocate": func(*fake, string) { allocate() },
	"confine":  (*fake).confine,
	"sh":       (*fake).sh,
	"spawn":    (*fake).spawn,
}

// start announces the script and waits for the word to begin.
func (f *fake) start(string) {
	f.event(job.Event{Type: job.EventScriptStarted})
	for c := range f.controls {
		if c.Proceed {
			return
		}
		f.canceled = c.Cancel
	}
}

// result takes a state, a reason and an exit code.
func (f *fake) result(arg string) {
	w := append(strings.Fields(arg), "", "0")
	code, _ := strconv.Atoi(w[2])
	f.event(job.Event{Type: job.EventResult, Result: &job.Result{State: w[0], FailureReason: w[1], ExitCode: code}})
}

// get asks the API for a path, as kubectl would, and prints the status.
func (f *fake) get(path string) {
	cfg, err := clientcmd.RESTConfigFromKubeConfig([]byte(f.spec.Kubeconfig))
	if err != nil {
		panic(err)
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		panic(err)
	}
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, cfg.Host+path, nil)
	resp, err := client.Do(req)
	if err != nil {
		f.frame(job.KindStdout, []byte(err.Error()+"\n"))
		return
	}
	_ = resp.Body.Close()
	f.frame(job.KindStdout, []byte(resp.Status+"\n"))
}

// until waits until it is told to stop, and prints why.
func (f *fake) until(string) {
	for f.canceled == "" {
		f.canceled = (<-f.controls).Cancel
	}
	f.frame(job.KindStdout, []byte("told: "+f.canceled+"\n"))
}

// ask asks about an entry as often as the number before its name says.
func (f *fake) ask(arg string) {
	times, name, _ := strings.Cut(arg, " ")
	n, _ := strconv.Atoi(times)
	for i := range n {
		f.event(job.Event{Type: job.EventQuestion, Number: int64(i + 1), Question: &inquiry.Question{Entry: name, Wake: true}})
	}
}

// reply waits for an answer and prints it.
func (f *fake) reply(string) {
	for c := range f.controls {
		if c.Reply != nil {
			f.frame(job.KindStdout, fmt.Appendf(nil, "%d: %s\n", c.Reply.Number, c.Reply.Answer.Refusal))
			return
		}
	}
}

func (f *fake) flood(arg string) {
	n, _ := strconv.Atoi(arg)
	piece := []byte(strings.Repeat(strings.Repeat("x", 63)+"\n", 512))
	for range n {
		f.frame(job.KindStdout, piece)
		_, _ = os.Stdout.Write(piece)
	}
}

// self prints what the process was given: environment, directory, descriptors.
func (f *fake) self(string) {
	wd, _ := os.Getwd()
	entries, _ := os.ReadDir("/proc/self/fd")
	var open []string
	for _, e := range entries {
		// Those of the Go runtime are the process's own.
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "anon_inode") && !strings.Contains(to, "/proc/") && !strings.HasPrefix(to, "/sys/fs/cgroup/") {
			kind, _, _ := strings.Cut(to, ":")
			open = append(open, e.Name()+"="+kind)
		}
	}
	group := syscall.Getpgrp() == os.Getpid()
	f.frame(job.KindStdout, fmt.Appendf(nil, "env=%q dir=%s descriptors=%s own group=%v\n", os.Environ(), wd, open, group))
}

// litter leaves files that are hard to remove.
func (f *fake) litter(string) {
	deep := filepath.Join(f.spec.ProjectDir, "a", "b")
	_ = os.MkdirAll(deep, 0o700)
	_ = os.WriteFile(filepath.Join(deep, "file"), nil, 0o400)
	_ = os.Symlink("/", filepath.Join(deep, "link"))
	_ = os.Chmod(deep, 0)
	_ = os.Chmod(filepath.Dir(deep), 0)
}

func endless(n int) int {
	if n < 0 {
		return 0
	}
	return endless(n+1) + n
}

func allocate() {
	const piece = 16 << 20
	for all := [][]byte{}; ; {
		all = append(all, make([]byte, piece))
		for i := 0; i < piece; i += 4096 {
			all[len(all)-1][i] = 1
		}
	}
}

// confine makes the process what a real one is.
func (f *fake) confine(string) {
	s := f.spec
	if s.Limits.Memory > 0 {
		s.Limits.Memory += ownMemory()
	}
	err := sandbox.Enter(sandbox.Config{Mode: sandbox.ModeEnforce, ProjectDir: s.ProjectDir, TempDir: s.TempDir, Ports: s.Ports, Toolbox: s.Toolbox, Limits: s.Limits})
	if err != nil {
		panic(err)
	}
}

// ownMemory is what a test binary takes of RLIMIT_DATA in bytes. With the race
// detector that is half a GiB from the start, and the stack of each further
// thread: a real job process, which has no C in it, takes a tenth of that.
func ownMemory() int64 {
	const furtherThreads, stack = 16, 8 << 20
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	_, after, _ := strings.Cut(string(status), "\nVmData:")
	var kib int64
	if _, err := fmt.Sscanf(after, "%d kB", &kib); err != nil {
		panic(err)
	}
	return kib<<10 + furtherThreads*stack
}

// sh runs a script with the shell of the toolbox, which is also the shell's dir.
func (f *fake) sh(script string) {
	box := filepath.Join(f.spec.Toolbox[0], "busybox")
	cmd := exec.Command(box, "sh", "-c", script)
	cmd.Env = []string{"PATH=" + f.spec.Toolbox[0]}
	out, err := cmd.StdoutPipe()
	if err != nil {
		panic(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		f.frame(job.KindStdout, append(lines.Bytes(), '\n'))
	}
	_ = cmd.Wait()
}

// spawn starts a process that leaves the group and holds every pipe open, and
// prints its number.
func (f *fake) spawn(string) {
	cmd := exec.Command("/proc/self/exe", "sleeper")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{f.frames}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	f.frame(job.KindStdout, fmt.Appendf(nil, "pid=%d\n", cmd.Process.Pid))
}

// jobOf is a job with a script.
func jobOf(lines ...string) jobspec.Job {
	return jobspec.Job{ID: id, Token: jobToken, Steps: []jobspec.Step{{Name: "script", Script: lines}}}
}
