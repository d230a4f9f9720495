package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// childEnv makes this test binary a confined process: it carries a plan.
const childEnv = "TOWLINE_TEST_SANDBOX"

// plan is what the confined process tries.
type plan struct {
	Config  Config
	Outside string // a file outside
	Inside  string // a directory inside
	Program string // an executable file inside
	Port    int    // a port that is not allowed
	Parent  int
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		os.Exit(confined(text))
	}
	if text := os.Getenv(programsEnv); text != "" {
		os.Exit(runPrograms(text))
	}
	os.Exit(m.Run())
}

// confined enters the sandbox and prints every expectation that is not met.
func confined(text string) int {
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		fmt.Println(err)
		return 2
	}
	before := startThreads()
	if err := Enter(p.Config); err != nil {
		fmt.Println("enter:", err)
		return 3
	}
	failed := 0
	for name, err := range attempts(p) {
		if err != nil {
			fmt.Printf("%s: %v\n", name, err)
			failed = 1
		}
	}
	if err := before(p.Outside); err != nil {
		fmt.Println("thread from before:", err)
		failed = 1
	}
	return failed
}

// startThreads keeps threads that exist before Enter and tries them afterwards.
func startThreads() func(outside string) error {
	const threads = 4
	start := make(chan string)
	results := make(chan error, threads)
	var ready sync.WaitGroup
	for range threads {
		ready.Add(1)
		go func() {
			// Locking keeps the operating system's thread.
			runtime.LockOSThread()
			ready.Done()
			results <- denied2(os.ReadFile(<-start))
		}()
	}
	ready.Wait()
	return func(outside string) error {
		for range threads {
			start <- outside
		}
		var all error
		for range threads {
			all = errors.Join(all, <-results)
		}
		return all
	}
}

// isDenied turns the expected refusal into success.
func isDenied(err error) error {
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
		return nil
	}
	return fmt.Errorf("was not denied (%v)", err)
}

func denied2[T any](_ T, err error) error { return isDenied(err) }

func attempts(p plan) map[string]error {
	dial := func(network, address string) error {
		c, err := net.Dial(network, address)
		if err == nil {
			c.Close()
		}
		return err
	}
	socket := func(family, kind, proto int) error {
		fd, err := unix.Socket(family, kind, proto)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	var core, files unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &core)
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &files)
	wd, _ := os.Getwd()
	return map[string]error{
		"read outside":           denied2(os.ReadFile(p.Outside)),
		"write outside":          isDenied(os.WriteFile(p.Outside, nil, 0o600)),
		"create outside":         isDenied(os.WriteFile(p.Outside+"2", nil, 0o600)),
		"list /":                 denied2(os.ReadDir("/")),
		"own environment":        denied2(os.ReadFile("/proc/self/environ")),
		"parent's environment":   denied2(os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.Parent))),
		"through a link":         denied2(readLink(p)),
		"execute":                isDenied(exec.Command(p.Program).Run()),
		"execute itself":         isDenied(exec.Command("/proc/self/exe").Run()),
		"execute the system's":   isDenied(exec.Command("/bin/true").Run()),
		"connect elsewhere":      isDenied(dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.Port))),
		"listen":                 denied2(net.Listen("tcp", "127.0.0.1:0")),
		"UDP":                    isDenied(dial("udp", "127.0.0.1:53")),
		"unix socket":            isDenied(socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)),
		"netlink":                isDenied(socket(unix.AF_NETLINK, unix.SOCK_RAW, 0)),
		"raw socket":             isDenied(socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)),
		"multipath TCP":          isDenied(socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)),
		"ptrace":                 isDenied(unix.PtraceAttach(p.Parent)),
		"signal the parent":      signalParent(p.Parent),
		"make a device":          isDenied(unix.Mknod(filepath.Join(p.Inside, "dev"), unix.S_IFCHR|0o600, 1<<8|3)),
		"write inside":           os.WriteFile(filepath.Join(p.Inside, "f"), []byte("x"), 0o600),
		"rename inside":          os.Rename(filepath.Join(p.Inside, "f"), filepath.Join(p.Config.TempDir, "g")),
		"write /dev/null":        os.WriteFile(os.DevNull, []byte("x"), 0),
		"connect where allowed":  dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.Config.Ports[0])),
		"working directory":      equal(wd, p.Config.ProjectDir),
		"environment is private": equal(os.Getenv(childEnv), ""),
		"core dumps":             equal(core.Cur, uint64(0)),
		"open files":             equal(files.Max <= maxOpenFiles, true),
		"umask":                  equal(unix.Umask(privateUmask), privateUmask),
	}
}

func readLink(p plan) ([]byte, error) {
	link := filepath.Join(p.Inside, "link")
	if err := os.Symlink(p.Outside, link); err != nil {
		return nil, fmt.Errorf("link: %v", err)
	}
	return os.ReadFile(link)
}

// signalParent is denied by Landlock from ABI 6 on.
func signalParent(pid int) error {
	if abi, _ := Check(); abi < 6 {
		return nil
	}
	return isDenied(unix.Kill(pid, 0))
}

func equal[T comparable](got, want T) error {
	if got != want {
		return fmt.Errorf("is %v, want %v", got, want)
	}
	return nil
}

func TestConfinement(t *testing.T) {
	if _, err := Check(); err != nil {
		t.Fatal(err)
	}
	p := plan{Parent: os.Getpid(), Outside: filepath.Join(t.TempDir(), "secret")}
	base := t.TempDir()
	p.Config = Config{Mode: ModeEnforce, ProjectDir: filepath.Join(base, "p"), TempDir: filepath.Join(base, "t")}
	p.Inside = p.Config.ProjectDir
	p.Program = filepath.Join(p.Inside, "program")
	for _, dir := range []string{p.Config.ProjectDir, p.Config.TempDir} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, perm := range map[string]os.FileMode{p.Outside: 0o644, p.Program: 0o755} {
		if err := os.WriteFile(path, []byte("#!/bin/true\n"), perm); err != nil {
			t.Fatal(err)
		}
	}
	p.Config.Ports = []uint16{uint16(listen(t))}
	p.Port = listen(t)

	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{childEnv + "=" + string(text)}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func listen(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestUnknownModeIsRefused(t *testing.T) {
	for _, mode := range []string{"", "best-effort", "Enforce"} {
		if err := Enter(Config{Mode: mode}); err == nil {
			t.Errorf("mode %q was accepted", mode)
		}
	}
}
