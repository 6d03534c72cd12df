//go:build !unix

package wire

// lookAt cannot look here: who writes to a dead connection finds out.
func (c *conn) lookAt(uintptr) bool {
	c.quiet = true
	return true
}
