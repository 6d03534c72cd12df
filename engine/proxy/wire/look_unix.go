//go:build unix

package wire

import "syscall"

// lookAt looks whether the socket brings anything, without waiting for it.
func (c *conn) lookAt(fd uintptr) bool {
	var b [1]byte
	n, err := syscall.Read(int(fd), b[:])
	c.quiet = n < 0 && (err == syscall.EAGAIN || err == syscall.EWOULDBLOCK)
	return true
}
