package service

import (
	"crypto/rand"
	"encoding/hex"
	"os"
)

// ReplicaName is a new name for this process that tells replicas and restarts
// apart: the host's name and a random part.
func ReplicaName() string {
	host, _ := os.Hostname()
	var b [4]byte
	_, _ = rand.Read(b[:])
	return host + "-" + hex.EncodeToString(b[:])
}
