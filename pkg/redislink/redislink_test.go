package redislink_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/redislink"
	"github.com/towline/towline/pkg/service"
)

func none(string) string { return "" }

// options reads them as a service does.
func options(t *testing.T, args ...string) (*redislink.Options, error) {
	t.Helper()
	var o redislink.Options
	s := service.NewSettings("test", none, io.Discard)
	o.Bind(s)
	if err := s.Parse(args); err != nil {
		t.Fatal(err)
	}
	return &o, o.Validate()
}

// works opens the client and takes a job through the ledger.
func works(t *testing.T, args ...string) redis.UniversalClient {
	t.Helper()
	o, err := options(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	rdb, err := o.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	l := ledger.New(rdb, redistest.Prefix(t))
	if err := l.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Accept(t.Context(), 1001, []byte("payload"), "r/0"); err != nil {
		t.Fatal(err)
	}
	if err := l.Enqueue(t.Context(), 1001, []byte("grant")); err != nil {
		t.Fatal(err)
	}
	if id, err := l.Next(t.Context(), time.Second); err != nil || id != 1001 {
		t.Fatalf("next job %d, %v", id, err)
	}
	return rdb
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t *testing.T, o redistest.Options) (s *redistest.Server, address, password string) {
	t.Helper()
	s, err := redistest.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c := s.Client().Options()
	return s, c.Addr, c.Password
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestEveryOptionArrives(t *testing.T) {
	o, _ := options(t, "--redis-url=redis://x:1", "--redis-addresses=a:1, b:2", "--redis-cluster", "--redis-sentinel-master=m", "--redis-username=u",
		"--redis-password-file=/p", "--redis-sentinel-username=su", "--redis-sentinel-password-file=/sp", "--redis-database=3", "--redis-tls", "--redis-ca-file=/ca")
	for v, i := reflect.ValueOf(*o), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s never arrives", v.Type().Field(i).Name)
		}
	}
}

func TestStandaloneByURLAndByAddress(t *testing.T) {
	s, address, password := start(t, redistest.Options{})
	works(t, "--redis-url="+s.URL)
	works(t, "--redis-addresses="+address, "--redis-password-file="+file(t, "pw", password+"\n"))
	works(t, "--redis-url=redis://"+address+"?read_timeout=2s", "--redis-password-file="+file(t, "pw", password))
}

func TestAReplacedPasswordIsUsedForTheNextConnection(t *testing.T) {
	s, address, password := start(t, redistest.Options{})
	path := file(t, "pw", password)
	rdb := works(t, "--redis-addresses="+address, "--redis-password-file="+path, "--redis-username=default")
	if err := s.Client().ConfigSet(t.Context(), "requirepass", "another").Err(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal").Err(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Errorf("after the password was replaced: %v", err)
	}
}

// startTLS tries other ports when somebody has taken one in between.
func startTLS(t *testing.T, cert, key string) (port int, password string) {
	t.Helper()
	for n := 1; ; n++ {
		port = freePort(t)
		s, err := redistest.Start(t.Context(), redistest.Options{Config: []string{
			fmt.Sprint("tls-port ", port), "tls-cert-file " + cert, "tls-key-file " + key, "tls-auth-clients no",
		}})
		if err == nil {
			t.Cleanup(func() { _ = s.Close() })
			return port, s.Client().Options().Password
		}
		if n == 5 {
			t.Fatal(err)
		}
	}
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	port, password := startTLS(t, cert, key)
	address, pw := fmt.Sprint("127.0.0.1:", port), file(t, "pw", password)
	works(t, "--redis-addresses="+address, "--redis-password-file="+pw, "--redis-tls", "--redis-ca-file="+cert)
	works(t, "--redis-url=rediss://"+address, "--redis-password-file="+pw, "--redis-ca-file="+cert)
	o, err := options(t, "--redis-addresses="+address, "--redis-password-file="+pw, "--redis-tls")
	if err != nil {
		t.Fatal(err)
	}
	rdb, err := o.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	if err := rdb.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a server of an unknown authority: %v", err)
	}
}

func TestCluster(t *testing.T) {
	s, address, password := start(t, redistest.Options{Config: []string{
		"cluster-enabled yes", "cluster-config-file " + filepath.Join(t.TempDir(), "nodes.conf"), "cluster-announce-ip 127.0.0.1",
	}})
	if err := s.Client().Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	eventually.Is(t, "the cluster is formed", func() bool {
		info, err := s.Client().ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	})
	works(t, "--redis-addresses="+address, "--redis-cluster", "--redis-password-file="+file(t, "pw", password))
}

// startSentinel says whether it answers at its address; it ends by itself when
// somebody has taken its port.
func startSentinel(t *testing.T, address, conf string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "redis-server", conf, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	eventually.Is(t, "the Sentinel answers or ends", func() bool {
		select {
		case <-ended:
			return true
		default:
		}
		rdb := redis.NewClient(&redis.Options{Addr: address, Password: "watch"})
		defer rdb.Close()
		return rdb.Ping(t.Context()).Err() == nil
	})
	select {
	case <-ended:
		return false
	default:
		return true
	}
}

func TestSentinel(t *testing.T) {
	_, address, password := start(t, redistest.Options{})
	_, redisPort, _ := net.SplitHostPort(address)
	sentinel := ""
	eventually.Is(t, "a Sentinel answers", func() bool {
		port := freePort(t)
		conf := fmt.Sprintf("bind 127.0.0.1\nport %d\nrequirepass watch\nsentinel monitor main 127.0.0.1 %s 1\nsentinel auth-pass main %s\n", port, redisPort, password)
		sentinel = fmt.Sprint("127.0.0.1:", port)
		return startSentinel(t, sentinel, file(t, "sentinel.conf", conf))
	})
	works(t, "--redis-addresses="+sentinel, "--redis-sentinel-master=main", "--redis-password-file="+file(t, "pw", password),
		"--redis-sentinel-password-file="+file(t, "spw", "watch"))
}

func TestFaultsSayWhatToDo(t *testing.T) {
	for args, want := range map[string]string{
		"--redis-url=localhost:6379":  "--redis-url is not a Redis URL",
		"--redis-addresses=localhost": "want host:port",
		"--redis-addresses=a:0":       "want host:port",
		"--redis-addresses=a:1,b:1":   "say what they are",
		"--redis-cluster":             "--redis-addresses is missing",
		"--redis-addresses=a:1 --redis-cluster --redis-sentinel-master=m": "one or the other",
		"--redis-addresses=a:1 --redis-cluster --redis-database=1":        "in a Cluster 0",
		"--redis-database=-1": "use 0 or more",
		"--redis-ca-file=/ca": "without TLS",
	} {
		if _, err := options(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	for args, want := range map[string]string{
		"--redis-password-file=/does/not/exist":                                                "--redis-password-file: ",
		"--redis-password-file=" + file(t, "empty", "\n"):                                      "is empty",
		"--redis-addresses=a:1 --redis-sentinel-master=m --redis-sentinel-password-file=/none": "--redis-sentinel-password-file: ",
		"--redis-addresses=a:1 --redis-tls --redis-ca-file=/none":                              "--redis-ca-file: ",
	} {
		o, err := options(t, strings.Fields(args)...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Open(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

// certificate is one that is its own authority.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		file(t, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}
