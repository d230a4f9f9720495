// Command attacker is a hostile program for tests: it tries one way out of a
// job's confinement by raw system calls, as a program of the toolbox could.
// The tests of the sandbox and the end-to-end escape tests build it as a static
// program and put it into a toolbox; no image contains it.
package main
