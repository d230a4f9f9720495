// Package outputtest keeps what services and programs write while a test runs, so
// that the test can read it meanwhile.
//
// Tests of all modules call it. It understands nothing of what is written.
package outputtest
