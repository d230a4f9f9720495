// Package closing ties what an HTTP request holds to the body of its answer.
//
// Transports that give a request a context of their own call it: the context has
// to live as long as the answer is read, and no longer. It neither reads a body
// nor bounds one.
package closing
