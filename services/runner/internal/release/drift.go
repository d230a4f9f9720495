package release

import "context"

func (r *run) watchDrift(_ context.Context) error { return nil }
