package main

import "golang.org/x/sys/unix"

// noCores keeps the memory of the process, which holds secrets, out of core
// dumps, and from other processes of the same user: they can neither trace it
// nor read its environment. Where the system refuses, it goes on without.
func noCores() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
