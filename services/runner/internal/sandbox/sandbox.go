package sandbox

import (
	"errors"
	"fmt"
	"os"

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

// Config says what one job may touch.
type Config struct {
	Mode       string   // ModeEnforce or ModeOff
	ProjectDir string   // becomes the working directory
	TempDir    string   // becomes HOME
	Ports      []uint16 // TCP ports the job may connect to
	Limits     Limits   // of each process
	Toolbox    []string // directories whose files, and no others, may be executed and read
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
	if err := c.checkToolbox(); err != nil {
		return err
	}
	if err := settle(c); err != nil {
		return err
	}
	if c.Mode == ModeOff {
		return nil
	}
	if err := limit(c.Limits); err != nil {
		return err
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	if err := restrictFiles(c, abi); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return restrictCalls()
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
