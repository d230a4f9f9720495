// Package repository knows where things are in Towline's source tree: its root,
// its modules and its services. The programs below cmd use it, so that none of
// them depends on the directory it is run in. It reads and never writes.
package repository
