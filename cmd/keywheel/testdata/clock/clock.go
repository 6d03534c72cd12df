//go:build linux && amd64

// Package clock lets a test set the clock of a program, and of no other: the
// time of day that it reads stands off from the machine's by what a file says.
// The monotonic clock goes on as it does, as when somebody sets a machine's
// clock, or it wakes up: Linux does not count a sleep there.
//
// Only tests are linked with it.
package clock

import (
	"encoding/binary"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Env names the variable that names the file, for the program to be started.
const Env = "KEYWHEEL_TEST_CLOCK"

// Works reports whether the kernel has a function that can be stood in for: some
// sandboxes' have none.
func Works() bool { return vdso != 0 }

// Set sets the clock of all programs that have the file, at once and while they
// run, so far off from the machine's.
func Set(file string, off time.Duration) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	seconds := off.Truncate(time.Second)
	if seconds > off {
		seconds -= time.Second // the rest counts up
	}
	told := int64(seconds/time.Second)<<30 | int64(off-seconds)
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(told)), 0)
	return err
}

// vdso is the function of the kernel that Go's runtime reads all clocks with.
//
//go:linkname vdso runtime.vdsoClockgettimeSym
var vdso uintptr

var (
	// kernel is what vdso was, told is where the file is in memory: seconds above
	// 30 bits of nanoseconds.
	kernel uintptr
	told   *int64
)

// read stands in for the kernel's function. entry is where it begins.
func read()
func entry() uintptr

func init() {
	name := os.Getenv(Env)
	if name == "" || !Works() {
		return
	}
	f, err := os.Open(name)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	shared, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	told, kernel = (*int64)(unsafe.Pointer(&shared[0])), vdso
	vdso = entry()
}
