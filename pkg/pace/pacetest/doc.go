// Package pacetest is HTTP servers that hardly answer, for tests. They are real
// ones, but their connections lie in memory: inside a bubble of testing/synctest
// minutes pass at once.
package pacetest
