package pg

import "syscall"

// dieWith has the kernel send sig to the child when the thread that started it
// ends, and so when the hub is killed in a way that it cannot notice.
func dieWith(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// freeDisk is how many bytes there are left on the disk of dir; 0 where the system does
// not tell.
func freeDisk(dir string) int64 {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0
	}
	return int64(fs.Bavail) * fs.Bsize //nolint:gosec // no disk is that large
}
