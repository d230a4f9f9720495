package sandbox

import (
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// Rights inside the job's directories: everything but executing files, making
// devices, talking to devices and reaching sockets of others. (The ready-made
// RWDirs of the library would allow executing.)
const (
	folderRights = landlock.AccessFSSet(llsys.AccessFSReadFile | llsys.AccessFSReadDir | llsys.AccessFSWriteFile |
		llsys.AccessFSTruncate | llsys.AccessFSRemoveDir | llsys.AccessFSRemoveFile | llsys.AccessFSMakeDir |
		llsys.AccessFSMakeReg | llsys.AccessFSMakeFifo | llsys.AccessFSMakeSym | llsys.AccessFSRefer)
	toolboxRights = landlock.AccessFSSet(llsys.AccessFSExecute | llsys.AccessFSReadFile | llsys.AccessFSReadDir)
	readFile      = landlock.AccessFSSet(llsys.AccessFSReadFile)
	readTree      = readFile | landlock.AccessFSSet(llsys.AccessFSReadDir)
	sinkRights    = readFile | landlock.AccessFSSet(llsys.AccessFSWriteFile|llsys.AccessFSTruncate)
)

// What every program may take for granted, and nothing in it is of this machine:
// devices that hold nothing, authorities for TLS, and the time zones.
var (
	sinks   = []string{os.DevNull, "/dev/full"}
	sources = []string{"/dev/zero", "/dev/random", "/dev/urandom", "/etc/localtime", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem"}
	trees   = []string{
		"/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted",
		"/usr/share/zoneinfo",
	}
)

// configs are the library's full restrictions by ABI. Newer kernels get the
// newest one known here.
var configs = []landlock.Config{
	landlock.V1, landlock.V2, landlock.V3, landlock.V4, landlock.V5, landlock.V6,
	landlock.V7, landlock.V8, landlock.V9, landlock.V10, landlock.V11,
}

// restrictFiles also holds TCP, and signals where the kernel can.
func restrictFiles(c Config, abi int) error {
	rules := []landlock.Rule{
		landlock.PathAccess(folderRights, c.ProjectDir, c.TempDir),
		landlock.PathAccess(sinkRights, sinks...).IgnoreIfMissing(),
		landlock.PathAccess(readFile, sources...).IgnoreIfMissing(),
		landlock.PathAccess(readTree, trees...).IgnoreIfMissing(),
	}
	if len(c.Toolbox) > 0 {
		rules = append(rules, landlock.PathAccess(toolboxRights, c.Toolbox...))
	}
	for _, port := range c.Ports {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	return configs[min(abi, len(configs))-1].Restrict(rules...)
}
