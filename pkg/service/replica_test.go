package service_test

import (
	"os"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/service"
)

func TestReplicasAndRestartsHaveNamesOfTheirOwn(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	a, b := service.ReplicaName(), service.ReplicaName()
	if a == b || !strings.HasPrefix(a, host+"-") {
		t.Errorf("%s, %s", a, b)
	}
}
