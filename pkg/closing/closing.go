package closing

import "io"

// Then is body whose Close calls done afterwards, each time it is called.
func Then(body io.ReadCloser, done func()) io.ReadCloser {
	return &closer{ReadCloser: body, done: done}
}

type closer struct {
	io.ReadCloser
	done func()
}

// Close implements io.Closer.
func (c *closer) Close() error {
	defer c.done()
	return c.ReadCloser.Close()
}
