// Command chart packages the Helm chart as bin/chart/towline-<version>.tgz. The
// same source gives the same bytes.
//
// With --key it signs the package as `helm package --sign` does and puts the
// signature beside it (.prov), for `helm verify` and `helm install --verify`. With
// --push both go to an OCI registry, from which Helm installs:
// `helm install towline oci://registry/path/towline`.
//
// `make chart` calls it. It makes no images; command images does.
package main
