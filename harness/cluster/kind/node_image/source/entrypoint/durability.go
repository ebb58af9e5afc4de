package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	bootID  = "/proc/sys/kernel/random/boot_id"
	ranIn   = "/var/lib/harness/boot-id" // the boot of the machine in which the node ran last
	stopped = "/var/lib/harness/stopped" // there when it was asked to stop
)

// suppressSync makes fsync and the like do nothing for all that the node runs, as systemd-nspawn's --suppress-sync
// does. A cluster is thrown away: what a crash of the machine would lose need not be waited for each time that an
// image comes or etcd writes. Processes that end lose nothing; noticeCrash sees to the rest.
func suppressSync() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil || !strings.Contains(string(status), "\nSeccomp:\t0\n") {
		return err // there is a filter: this one, after the Exec below
	}
	architecture, known := map[string]uint32{
		"amd64": unix.AUDIT_ARCH_X86_64,
		"arm64": unix.AUDIT_ARCH_AARCH64,
	}[runtime.GOARCH]
	if !known {
		return nil
	}
	const (
		load, jump, done = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K

		numberOffset, architectureOffset = 0, 4 // of struct seccomp_data
	)
	calls := []uint32{
		unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC, unix.SYS_SYNCFS, unix.SYS_SYNC_FILE_RANGE, unix.SYS_MSYNC,
	}
	filter := []unix.SockFilter{
		{Code: load, K: architectureOffset},
		{Code: jump, K: architecture, Jf: uint8(len(calls) + 1)},
		{Code: load, K: numberOffset},
	}
	for index, call := range calls {
		filter = append(filter, unix.SockFilter{Code: jump, K: call, Jt: uint8(len(calls) - index)})
	}
	filter = append(filter,
		unix.SockFilter{Code: done, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: done, K: unix.SECCOMP_RET_ERRNO}) // with the error 0: success
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread() // the filter is this thread's, and what it executes and starts inherits it
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		runtime.UnlockOSThread()
		fmt.Fprintf(os.Stderr, "node: every write is waited for, since that can't be changed here: %v\n", err)
		return nil
	}
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}

// noticeCrash refuses to go on with what a crash of the machine may have left half-written: the node is made anew.
func noticeCrash() error {
	now, err := os.ReadFile(bootID)
	if err != nil {
		return err
	}
	last, err := os.ReadFile(ranIn)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, missing := os.Stat(stopped)
	if err == nil && string(last) != string(now) && missing != nil {
		return errors.New("the machine went down while this node ran; `harness up` makes it anew")
	}
	if err := os.Remove(stopped); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(ranIn), 0o755); err != nil {
		return err
	}
	return os.WriteFile(ranIn, now, 0o644)
}

func noteStop() error { return os.WriteFile(stopped, nil, 0o644) }
