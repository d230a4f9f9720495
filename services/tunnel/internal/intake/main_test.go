package intake

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
)

// TestMain silences the Redis client, which prints each failed dial by itself.
func TestMain(m *testing.M) {
	redis.SetLogger(silence{})
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" { // there it is the number of processes
		_ = flag.Set("test.parallel", "16") // the tests mostly wait
	}
	os.Exit(m.Run())
}

type silence struct{}

// Printf implements the client's logger.
func (silence) Printf(context.Context, string, ...any) {}
