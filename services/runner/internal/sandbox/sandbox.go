package sandbox

import (
	"errors"
	"fmt"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Modes.
const (
	ModeEnforce = "enforce" // all of it, or an error
	ModeOff     = "off"     // only the working directory, the umask and the environment
)

// MinABI is the oldest Landlock that can hold a job: the first that restricts
// TCP. From 6 on signals to other processes are denied too.
const MinABI = 4

// Resource limits of a job process.
const (
	maxOpenFiles = 4096
	privateUmask = 0o077
)

// Config says what one job may touch.
type Config struct {
	Mode       string   // ModeEnforce or ModeOff
	ProjectDir string   // becomes the working directory
	TempDir    string   // becomes HOME
	Ports      []uint16 // TCP ports the job may connect to
}

// ErrUnsupported says that the kernel cannot confine a job.
var ErrUnsupported = errors.New("this kernel cannot confine a job")

// Check returns the Landlock ABI of the running kernel, and an error that wraps
// ErrUnsupported when ModeEnforce would refuse it.
func Check() (abi int, err error) {
	abi, err = llsys.LandlockGetABIVersion()
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: it has no Landlock (%w); Linux 6.7 or newer with Landlock enabled is needed", ErrUnsupported, err)
	case abi < MinABI:
		return abi, fmt.Errorf("%w: its Landlock ABI is %d, at least %d (Linux 6.7) is needed", ErrUnsupported, abi, MinABI)
	}
	return abi, nil
}

// Enter confines the calling process for good.
func Enter(c Config) error {
	if c.Mode != ModeEnforce && c.Mode != ModeOff {
		return fmt.Errorf("unknown mode %q", c.Mode)
	}
	abi := 0
	if c.Mode == ModeEnforce {
		var err error
		if abi, err = Check(); err != nil {
			return err
		}
	}
	if err := settle(c); err != nil {
		return err
	}
	if c.Mode == ModeOff {
		return nil
	}
	if err := limit(); err != nil {
		return err
	}
	if err := restrict(c, abi); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return restrictSockets()
}

// settle gives the process its own surroundings.
func settle(c Config) error {
	if err := os.Chdir(c.ProjectDir); err != nil {
		return err
	}
	unix.Umask(privateUmask)
	os.Clearenv()
	for key, value := range map[string]string{"HOME": c.TempDir, "TMPDIR": c.TempDir, "PWD": c.ProjectDir} {
		if err := os.Setenv(key, value); err != nil {
			return err
		}
	}
	return nil
}

func limit() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("core limit: %w", err)
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return fmt.Errorf("open files limit: %w", err)
	}
	files := min(now.Max, maxOpenFiles)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: files}); err != nil {
		return fmt.Errorf("open files limit: %w", err)
	}
	return nil
}

// Rights inside the job's directories: everything but executing files, making
// devices, talking to devices and reaching sockets of others. (The ready-made
// RWDirs of the library would allow executing.)
const (
	folderRights = landlock.AccessFSSet(llsys.AccessFSReadFile | llsys.AccessFSReadDir | llsys.AccessFSWriteFile |
		llsys.AccessFSTruncate | llsys.AccessFSRemoveDir | llsys.AccessFSRemoveFile | llsys.AccessFSMakeDir |
		llsys.AccessFSMakeReg | llsys.AccessFSMakeFifo | llsys.AccessFSMakeSym | llsys.AccessFSRefer)
	nullRights = landlock.AccessFSSet(llsys.AccessFSReadFile | llsys.AccessFSWriteFile | llsys.AccessFSTruncate)
)

// configs are the library's full restrictions by ABI. Newer kernels get the
// newest one known here.
var configs = []landlock.Config{
	landlock.V1, landlock.V2, landlock.V3, landlock.V4, landlock.V5, landlock.V6,
	landlock.V7, landlock.V8, landlock.V9, landlock.V10, landlock.V11,
}

func restrict(c Config, abi int) error {
	rules := []landlock.Rule{
		landlock.PathAccess(folderRights, c.ProjectDir, c.TempDir),
		landlock.PathAccess(nullRights, os.DevNull),
	}
	for _, port := range c.Ports {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	return configs[min(abi, len(configs))-1].Restrict(rules...)
}
