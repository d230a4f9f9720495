package escape

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// secretParts are in no log.
var secretParts = []string{"PRIVATE KEY", "victims-secret", "eyJhbGciOi"}

// attack is a case.
type attack struct {
	name   string
	script []string
	fails  bool   // the job must fail
	says   string // regular expression, in the log
}

// TestEscapes runs each case as a job of its own.
func TestEscapes(t *testing.T) {
	p := open(t)
	for _, a := range append(reaching(), exhausting()...) {
		t.Run(a.name, func(t *testing.T) {
			j, log := p.run(t, a.script...)
			want, reason := sim.Success, ""
			if a.fails {
				want, reason = sim.Failed, "script_failure"
			}
			if j.Status != want || j.FailureReason != reason {
				t.Errorf("%s (%s), want %s (%s)\n%s", j.Status, j.FailureReason, want, reason, last(log))
			}
			if !regexp.MustCompile(a.says).MatchString(log) {
				t.Errorf("the log does not say %q:\n%s", a.says, last(log))
			}
			for _, part := range append(secretParts, "ESCAPED") {
				if strings.Contains(log, part) {
					t.Errorf("the log has %q:\n%s", part, last(log))
				}
			}
			p.healthy(t)
		})
	}
}

// attacks is a script in which every attempt must be refused.
func attacks(attempts ...string) []string {
	out := make([]string, 0, len(attempts))
	for _, a := range attempts {
		out = append(out, "attacker "+a)
	}
	return out
}

// refused is a script in which every command must fail.
func refused(commands ...string) []string {
	out := make([]string, 0, len(commands))
	for _, c := range commands {
		out = append(out, fmt.Sprintf("if %s; then echo ESC''APED; exit 1; fi", c))
	}
	return out
}

// reaching are the cases that reach for what is not the job's.
func reaching() []attack {
	const token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	return []attack{
		{"secrets on disk by system calls", attacks("read DIR/seal.key", "read DIR/towline-runner.kubeconfig", "read DIR/towline-runner.token", "list DIR", "symlink DIR/seal.key",
			"hardlink DIR/seal.key", "rename DIR/seal.key", "handle DIR/seal.key", "read /etc/shadow", "read /etc/passwd", "write DIR/seal.key"), false, "denied: open .*seal.key: permission denied"},
		{"secrets on disk by commands", refused("cat DIR/seal.key", "busybox cat DIR/seal.key", `x=$(<DIR/seal.key) && [ -n "$x" ]`, "ln DIR/seal.key k", "cp DIR/seal.key k", "ln -s DIR/seal.key l && cat l",
			"kubectl --kubeconfig DIR/towline-runner.kubeconfig get ns", "kubectl create configmap stolen --from-file=DIR/seal.key", "cat "+token, "grep -r . DIR", "find DIR -name '*.key' | grep .", "tar cf - DIR/seal.key | grep -q seal"), false, "ermission denied"},
		{"another job's workspace", append(attacks("read VICTIM/victims-file", "list VICTIM", "write VICTIM/victims-file", "write VICTIM/new", "hardlink VICTIM/victims-file", "rename VICTIM/victims-file", "symlink VICTIM/victims-file"),
			refused("cat VICTIM/victims-file", "cd VICTIM && cat victims-file", "rm -rf VICTIM/victims-file", "echo x > VICTIM/victims-file")...), false, "denied"},
		{"other processes", append(attacks("environ RUNNER_PID", "cmdline RUNNER_PID", "mem RUNNER_PID", "ptrace RUNNER_PID", "readv RUNNER_PID", "pidfd-getfd RUNNER_PID", "limit RUNNER_PID", "nice RUNNER_PID", "affinity RUNNER_PID", "signal RUNNER_PID",
			"environ VICTIM_PID", "mem VICTIM_PID", "ptrace VICTIM_PID", "signal VICTIM_PID", "environ self", "signal-all", "list /proc"),
			refused("cat /proc/RUNNER_PID/environ", "cat /proc/self/environ", "busybox kill -9 RUNNER_PID", "busybox kill -9 VICTIM_PID", "env | grep -i TOWLINE_REDIS")...), false, "denied"},
		{"other services", append(attacks("connect REDIS", "connect POLICY", "connect TUNNEL", "connect RUNNER", "connect APISERVER", "fastopen REDIS", "fastopen APISERVER", "multipath REDIS", "udp 127.0.0.1:53",
			"unix", "netlink", "raw", "datagram", "bind", "listen", "io_uring", "socket-file ."),
			refused("wget -O- http://REDIS/", "busybox nc REDIS </dev/null", "busybox wget -T 2 -O- http://POLICY/livez", "kubectl --server https://APISERVER get ns")...), false, "denied"},
		{"programs that were dropped", append(append([]string{"cp TOOLBOX/busybox dropped && chmod +x dropped"}, refused("./dropped true", "sh -c ./dropped", "busybox sh -c './dropped true'", "find . -name dropped -exec {} true ';' | grep .", "echo true | xargs ./dropped",
			"env ./dropped true", "timeout 5 ./dropped true", "busybox awk 'BEGIN { exit system(\"./dropped true\") }'", "cp dropped TOOLBOX/dropped", "ln -sf $PWD/dropped TOOLBOX/grep", "/lib64/ld-linux-x86-64.so.2 ./dropped")...),
			attacks("exec ./dropped true", "exec /bin/busybox true", "execveat dropped", "exec-fd dropped", "execveat TOOLBOX/busybox", "memfd TOOLBOX/busybox", "map-file dropped", "map-file TOOLBOX/busybox", "map-anonymous", "protect", "personality", "shared-memory", "hardlink TOOLBOX/busybox")...), false, "denied"},
		{"programs by way of processes", append(refused("/proc/self/exe --version", "ln -s /proc/self/exe me && ./me --version", "cp /proc/self/exe me2 && chmod +x me2 && ./me2 --version",
			"/proc/RUNNER_PID/exe --version", "busybox env /proc/RUNNER_PID/exe --version", "busybox env /proc/VICTIM_PID/exe --version", "echo --version | xargs /proc/RUNNER_PID/exe",
			"ln -s /proc/RUNNER_PID/exe it && busybox env ./it --version", "busybox sh -c 'exec /proc/RUNNER_PID/exe --version'"),
			attacks("exec /proc/RUNNER_PID/exe --version", "exec /proc/VICTIM_PID/exe --version")...), false, "denied"},
		{"credential plugins", []string{
			"printf 'apiVersion: v1\\nkind: Config\\ncurrent-context: c\\nclusters: [{name: c, cluster: {server: \"https://127.0.0.1:1\"}}]\\ncontexts: [{name: c, context: {cluster: c, user: u}}]\\nusers: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, interactiveMode: Never}}}]\\n' > k",
			"if kubectl --kubeconfig k get ns; then exit 1; fi",
		}, false, "exec"},
		{"out of the group", append(attacks("setsid", "setpgid", "child-setsid", "unshare", "clone", "clone3", "undumpable", "fewer-kills"),
			"(sleep 3600 >/dev/null 2>&1 &)", "busybox setsid sleep 3600 >/dev/null 2>&1 &", "busybox nohup sleep 3600 >/dev/null 2>&1 &", "echo left three behind"), false, "left three behind"},
		{"the kernel", attacks("bpf", "chroot .", "mount .", "device .", "setuid"), false, "denied"},
	}
}

// exhausting are the cases that take too much.
func exhausting() []attack {
	return []attack{
		{"many programs", []string{"busybox sh -c 'while [ $((i+=1)) -lt 600 ]; do busybox sleep 300 & done; wait'"}, true, "it runs [0-9]+ processes at once; a job may run 512"},
		{"a fork bomb of the shell", []string{":() { :|:& }; :; sleep 100"}, true, "fork: Resource temporarily unavailable: more than 2000 commands and subshells at once"},
		{"a full disk", []string{"i=0; while :; do i=$((i+1)); head -c 10000000 /dev/zero > f$i; done"}, true, "its files take [0-9.]+ MiB, more than --scratch-limit 64 MiB allows"},
		{"a sparse file", []string{"truncate -s 10G f"}, true, "(?i)file too large"},
		{"a large log", []string{"(yes 'a long line of a log that nobody will ever read' || true) | head -c 1000000000; echo"}, false, "exceeded limit of 1000000 bytes"},
		{"100,000 files", []string{"seq 100000 | busybox xargs touch", "ls | wc -l"}, false, "100000|100001"},
		{"a script of 6 MB", []string{"echo " + strings.Repeat("x", 6<<20) + " | wc -c"}, true, "the script has [0-9]+ bytes, more than 4194304"},
		{"a script of 10 MB", []string{"echo " + strings.Repeat("x", 10<<20) + " | wc -c"}, true, "over the limit of 8388608 bytes"},
		{"unbounded recursion", []string{"f() { f; }; f"}, true, "nesting|stack overflow|recursion"},
		{"unbounded memory", []string{"x=xxxxxxxx; while :; do x=$x$x; done"}, true, "out of memory|memory-limit"},
		{"memory of a program", []string{"busybox tail -c 2000000000 /dev/zero"}, true, "out of memory"},
	}
}
