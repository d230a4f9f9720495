// Package patience is how long the runner waits for what keeps a claimed job or
// sync from being verified and passes by itself: keys that policy or a Secret
// brings a moment later, a policy or a Redis that restarts.
//
// The worker and the syncer wait with it, while they hold their leases. It holds
// the one list of such errors; what is not on it is refused at once. It verifies
// nothing itself.
package patience
