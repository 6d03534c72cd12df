//go:build !linux

package main

import "golang.org/x/sys/unix"

// noCores keeps the memory of the process, which holds secrets, out of core
// dumps. Where the system refuses, it goes on without.
func noCores() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }
