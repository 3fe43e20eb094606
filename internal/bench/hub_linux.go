package bench

import "syscall"

// hubAttributes put the hub into a process group of its own, so that Ctrl-C is
// this program's to deal with, and have it ended should this program be killed.
func hubAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
