// Command images builds the services' container images without a container
// engine: one OCI archive per service, for linux/amd64 and linux/arm64.
//
// An image is an empty root with one static binary, run as user 65532. The tunnel
// and the runner verify GitLab's certificate, so their images also hold Mozilla's
// root certificates, of the version that go.mod pins; nothing of the machine that
// builds gets in, and the same source gives the same bytes.
//
// Beside each archive lie bills of materials (CycloneDX), one for each platform,
// made of what Go has linked. With --push the images go to a registry as well, and
// the bills with them.
//
// Any tool that reads OCI archives takes them, for example
// `skopeo copy oci-archive:bin/images/towline-tunnel.tar ...` or
// `ctr images import`.
package main
