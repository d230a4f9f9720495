package redislink

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/towline/towline/pkg/certs"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/service"
)

// maxPassword bounds a password file, in bytes.
const maxPassword = 16 << 10

// Options say where Redis is and how to log in there.
type Options struct {
	URL            string
	Addresses      []string
	Cluster        bool
	SentinelMaster string

	Username, PasswordFile                 string
	SentinelUsername, SentinelPasswordFile string
	Database                               int
	TLS                                    bool
	CAFile                                 string
}

// Bind binds the options.
func (o *Options) Bind(s *service.Settings) {
	s.String(&o.URL, "redis-url", "redis://127.0.0.1:6379/0", "address of one Redis server; --redis-addresses, where given, is used instead")
	s.List(&o.Addresses, "redis-addresses", "comma-separated host:port of the Redis server, of the Sentinels (with --redis-sentinel-master) or of nodes of the Cluster (with --redis-cluster)")
	s.Bool(&o.Cluster, "redis-cluster", false, "Redis is a Cluster")
	s.String(&o.SentinelMaster, "redis-sentinel-master", "", "name of the master that the Sentinels watch")
	s.String(&o.Username, "redis-username", "", "user of Redis' ACL; empty: the default user")
	s.String(&o.PasswordFile, "redis-password-file", "", "file with the password for Redis; read again for each connection")
	s.String(&o.SentinelUsername, "redis-sentinel-username", "", "user of the Sentinels' ACL")
	s.String(&o.SentinelPasswordFile, "redis-sentinel-password-file", "", "file with the password for the Sentinels, read at the start; empty: they ask for none")
	s.Int(&o.Database, "redis-database", 0, "number of the database; a Cluster has only 0")
	s.Bool(&o.TLS, "redis-tls", false, "speak TLS to Redis and to the Sentinels")
	s.String(&o.CAFile, "redis-ca-file", "", "PEM file of the authorities to trust for Redis; empty: the system's. Read again when it changes")
}

// Validate joins everything that is wrong or does not go together.
func (o *Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, a := range o.Addresses {
		host, port, err := net.SplitHostPort(a)
		if n, nan := strconv.ParseUint(port, 10, 16); err != nil || host == "" || nan != nil || n == 0 {
			bad("--redis-addresses: %q: want host:port", a)
		}
	}
	if len(o.Addresses) == 0 {
		if rdb, err := ledger.Open(o.URL); err != nil {
			errs = append(errs, err)
		} else {
			_ = rdb.Close()
		}
		if o.Cluster || o.SentinelMaster != "" {
			bad("--redis-addresses is missing: name the nodes of the Cluster or the Sentinels")
		}
	} else if len(o.Addresses) > 1 && !o.Cluster && o.SentinelMaster == "" {
		bad("--redis-addresses names %d servers: say what they are with --redis-cluster or --redis-sentinel-master", len(o.Addresses))
	}
	if o.Cluster && o.SentinelMaster != "" {
		bad("--redis-cluster and --redis-sentinel-master are both given: Redis is one or the other")
	}
	if o.Database < 0 || o.Cluster && o.Database != 0 {
		bad("--redis-database=%d: use 0 or more, and in a Cluster 0", o.Database)
	}
	if o.CAFile != "" && !o.secure() {
		bad("--redis-ca-file is given, but Redis is reached without TLS: add --redis-tls, or use rediss:// in --redis-url")
	}
	return errors.Join(errs...)
}

func (o *Options) secure() bool {
	return o.TLS || len(o.Addresses) == 0 && strings.HasPrefix(o.URL, "rediss://")
}

// Open returns a client. It dials nothing, but reads the files, so that a wrong
// name ends the service at its start. No error quotes a password.
func (o *Options) Open() (redis.UniversalClient, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	u, err := o.universal()
	if err != nil {
		return nil, err
	}
	ledger.Tune(u)
	return redis.NewUniversalClient(u), nil
}

// universal are the options in go-redis' words.
func (o *Options) universal() (*redis.UniversalOptions, error) {
	u := &redis.UniversalOptions{Addrs: o.Addresses, DB: o.Database, MasterName: o.SentinelMaster, IsClusterMode: o.Cluster}
	if len(o.Addresses) == 0 {
		if err := o.fromURL(u); err != nil {
			return nil, err
		}
	}
	if o.Username != "" {
		u.Username = o.Username
	}
	if o.PasswordFile != "" {
		if _, err := readPassword(o.PasswordFile); err != nil {
			return nil, fmt.Errorf("--redis-password-file: %w", err)
		}
		user := u.Username
		u.CredentialsProvider = func() (string, string) {
			// A file that is away for a moment is a refused login, which is tried again.
			password, _ := readPassword(o.PasswordFile)
			return user, password
		}
	}
	u.SentinelUsername = o.SentinelUsername
	if o.SentinelPasswordFile != "" {
		var err error
		if u.SentinelPassword, err = readPassword(o.SentinelPasswordFile); err != nil {
			return nil, fmt.Errorf("--redis-sentinel-password-file: %w", err)
		}
	}
	return u, o.secureDial(u)
}

// fromURL takes over what the address says, the pauses of its query among it.
func (o *Options) fromURL(u *redis.UniversalOptions) error {
	parsed, err := redis.ParseURL(o.URL)
	if err != nil {
		return errors.New("--redis-url is not a Redis URL")
	}
	u.Addrs, u.Username, u.Password = []string{parsed.Addr}, parsed.Username, parsed.Password
	if o.Database == 0 {
		u.DB = parsed.DB
	}
	u.Protocol, u.ClientName = parsed.Protocol, parsed.ClientName
	u.ReadTimeout, u.WriteTimeout, u.PoolTimeout = parsed.ReadTimeout, parsed.WriteTimeout, parsed.PoolTimeout
	u.PoolSize, u.MinIdleConns, u.MaxIdleConns, u.MaxActiveConns = parsed.PoolSize, parsed.MinIdleConns, parsed.MaxIdleConns, parsed.MaxActiveConns
	u.ConnMaxIdleTime, u.ConnMaxLifetime = parsed.ConnMaxIdleTime, parsed.ConnMaxLifetime
	return nil
}

func (o *Options) secureDial(u *redis.UniversalOptions) error {
	if !o.secure() {
		return nil
	}
	var trust *certs.Trust
	if o.CAFile != "" {
		var err error
		if trust, err = certs.Only(o.CAFile); err != nil {
			return fmt.Errorf("--redis-ca-file: %w", err)
		}
	}
	u.Dialer = trust.Dial
	return nil
}

func readPassword(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	p := strings.TrimSpace(string(b))
	if p == "" || len(p) > maxPassword {
		return "", fmt.Errorf("%s is empty or no password", path)
	}
	return p, nil
}
