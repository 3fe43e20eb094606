//go:build unix && !linux

package bench

import "syscall"

// hubAttributes put the hub into a process group of its own, so that Ctrl-C is
// this program's to deal with.
func hubAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
