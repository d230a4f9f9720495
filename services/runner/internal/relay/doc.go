// Package relay is the way of job processes to the tunnel's egress proxy: it
// copies bytes between a loopback port and the proxy's address.
//
// The confinement of a job process lets it connect to this port and the gate's,
// and to nothing else. Who may pass is decided by the proxy, from the grant that
// the job process sends; the relay reads nothing. It waits a while for a proxy
// that is away, and then says so in the proxy's stead.
package relay
