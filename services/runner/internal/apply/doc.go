// Package apply is the apply engine: it makes a cluster hold what a set of
// manifests says, and nothing of the set's past beyond it.
//
// The GitOps sync calls it, with a client configuration whose bearer token is a
// grant and whose address is the gate. One run reads the inventory, lists the
// metadata of each kind once, leaves alone what is as it was applied, applies the
// rest with server-side apply in the order of kinds and dependencies, waits for
// health, deletes what has left the set, and writes the inventory: before the
// first change and after the last, so that a run that dies is finished by the
// next one, whatever it was doing.
//
// The engine never renders templates, never reads Git, never decides what an
// identity may do (the gate and RBAC do), and never touches an object of another
// inventory unless its policy says so. One inventory is for one run at a time;
// when two meet, one of them ends with an error.
//
// Its parts: manifests (text to objects), objref (names), kinds (what the cluster
// has), order (phases), fields (who owns what), inventory, health, transient (failures that
// pass).
package apply
