package rig

import (
	"context"
	"path/filepath"
)

// Alone starts one service by itself, for tests that play the other parts, and
// returns when it listens. Its arguments must name --listen.
func Alone(ctx context.Context, name, binaries string, args, env []string) (*Service, error) {
	s, err := launch(name, filepath.Join(binaries, name), args, env, nil)
	if err != nil {
		return nil, err
	}
	addr, err := s.address(ctx, "listen")
	if err != nil {
		s.Kill()
		return nil, err
	}
	s.URL = "http://" + addr
	return s, nil
}
