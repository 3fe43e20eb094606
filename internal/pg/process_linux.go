package pg

import "syscall"

// hugePages tells whether the system gives so many bytes in huge pages now, by asking
// for them: it may have them, or make them where it may, unless its memory is in pieces.
func hugePages(bytes int64) bool {
	const huge = 2 << 20 // of any size that is usual, a whole number of pages
	size := int((bytes + huge - 1) / huge * huge)
	m, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_ANONYMOUS|syscall.MAP_HUGETLB)
	return err == nil && syscall.Munmap(m) == nil
}

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
