package main

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

//nolint:gosec,noctx // an attacker in tests does what it is told
func sockets() map[string]attack {
	return map[string]attack{
		"connect": func(a []string) error {
			c, err := net.Dial("tcp", a[0])
			if err == nil {
				c.Close()
			}
			return err
		},
		"fastopen":  fastOpen,
		"multipath": func(a []string) error { return connect(a[0], unix.IPPROTO_MPTCP) },
		"udp": func(a []string) error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
			if err != nil {
				return err
			}
			to, err := address(a[0])
			if err != nil {
				return err
			}
			return unix.Sendto(fd, []byte("x"), 0, to)
		},
		"unix":     func([]string) error { return second(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)) },
		"netlink":  func([]string) error { return second(unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, 0)) },
		"raw":      func([]string) error { return second(unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)) },
		"datagram": func([]string) error { return second(unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)) },
		"bind":     func([]string) error { return second(net.Listen("tcp", "127.0.0.1:0")) },
		"listen": func([]string) error { // on a port that the kernel chooses
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			return unix.Listen(fd, 1)
		},
		"io_uring": func([]string) error {
			var params [120]byte
			return call(unix.SYS_IO_URING_SETUP, 1, pointer(params[:]))
		},
	}
}

func address(text string) (unix.Sockaddr, error) {
	ap, err := netip.ParseAddrPort(text)
	return &unix.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}, err
}

func connect(text string, protocol int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, protocol)
	if err != nil {
		return err
	}
	to, err := address(text)
	if err != nil {
		return err
	}
	return unix.Connect(fd, to)
}

// fastOpen connects without a call of connect.
func fastOpen(a []string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	to, err := address(a[0])
	if err != nil {
		return err
	}
	return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, to)
}
