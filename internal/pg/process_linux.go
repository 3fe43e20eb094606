package pg

import "syscall"

// dieWith has the kernel send sig to the child when the thread that started it
// ends, and so when the hub is killed in a way that it cannot notice.
func dieWith(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }
