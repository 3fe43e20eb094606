//go:build unix && !linux

package pg

import "syscall"

// dieWith does nothing where the kernel has no such service: after a kill -9
// of the hub its PostgreSQL goes on, and the next start ends it first.
func dieWith(*syscall.SysProcAttr, syscall.Signal) {}

// hugePages are not asked for here.
func hugePages(int64) bool { return false }

// freeDisk is not asked for here: it is taken to be as much as lets the WAL have 2 GB.
func freeDisk(string) int64 { return 16 * gib }
