package pg

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// baseSettings are the private cluster's settings, each with its reason. They
// stand in irthub.conf, written anew at every start and included by
// postgresql.conf, where an operator's own lines come after and win.
const baseSettings = `# Written by irthub at every start. Put settings of your own into postgresql.conf.

# Connections: only through the socket, only from this machine's hub and its commands.
unix_socket_permissions = 0700
cluster_name = 'irthub'

# What is acknowledged is on disk.
%s

# Memory
# A quarter of the machine's where that is in huge pages, else 1 GB at most: every
# process of PostgreSQL has to map each small page of it that it touches, which costs
# more than to have the page copied from the system's file cache.
shared_buffers = %dMB
effective_cache_size = %dMB         # half of the machine's: what the system's file cache may hold
work_mem = 16MB
maintenance_work_mem = %dMB         # index builds and vacuum after bulk loads
shared_preload_libraries = '%s' # pg_prewarm, if it is there: a restart reads again at once what was in memory
max_locks_per_transaction = 256     # batches lock many matching keys in one transaction

# Writing: bulk loads must not drown in checkpoints.
wal_compression = %s            # a page that is touched first after a checkpoint is logged whole
max_wal_size = %dMB              # of the disk an eighth of what is free, and 1 GB at least
min_wal_size = 256MB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9

# Planning: point reads by key, on SSDs.
random_page_cost = 1.1
jit = off # short queries would pay more for compiling than they win

# Logs never hold personal data: the messages of failed statements quote values,
# so neither those nor statements nor parameters are logged. The hub gets every
# error itself, and logs its code.
log_min_messages = log              # leaves out ERROR and below
log_min_error_statement = panic
log_error_verbosity = terse
log_statement = none
log_min_duration_statement = -1
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_line_prefix = '%%m [%%p] '
log_timezone = 'UTC'
timezone = 'UTC'
`

const durableSettings = `fsync = on
synchronous_commit = on
full_page_writes = on
max_connections = 60                # a pool of 16 for each of two hubs, and commands beside them`

// disposableSettings make a test cluster fast; a crash of the machine loses it.
const disposableSettings = `fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 400               # many test processes, each test with its own pool`

func settings(disposable bool, compression, preload string, disk int64) string {
	memory := machineMemory()
	shared := sharedBuffers(memory, hugePages())
	durability := durableSettings
	if disposable {
		shared, durability = 256*mib, disposableSettings
	}
	return fmt.Sprintf(baseSettings, durability, shared/mib, max(memory/2, 128*mib)/mib,
		min(max(memory/20, 32*mib), 512*mib)/mib, preload, compression, min(max(disk/8, gib), 8*gib)/mib)
}

// sharedBuffers is how many bytes of a machine's memory are shared buffers, of which so
// many may be in huge pages.
func sharedBuffers(memory, huge int64) int64 {
	quarter := min(max(memory/4, 64*mib), 8*gib)
	// What is shared besides takes less than a sixteenth.
	return min(quarter, max(gib, huge-huge/16))
}

// machineMemory is what this machine or container has, in bytes; 1 GiB where
// the system does not say.
func machineMemory() int64 {
	memory := int64(gib)
	if total := meminfo()["MemTotal"]; total > 0 {
		memory = total
	}
	limit, err := os.ReadFile("/sys/fs/cgroup/memory.max") // cgroup v2; "max" means none
	if err != nil {
		return memory
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64); err == nil {
		memory = min(memory, n)
	}
	return memory
}

// hugePages is how much memory, in bytes, the system has or would make huge pages for
// a program that asks for it now.
func hugePages() int64 {
	info := meminfo()
	free := info["HugePages_Free"] - info["HugePages_Rsvd"]
	if more, err := os.ReadFile("/proc/sys/vm/nr_overcommit_hugepages"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(more)), 10, 64); err == nil {
			free += max(n-info["HugePages_Surp"], 0)
		}
	}
	return min(max(free, 0)*info["Hugepagesize"], info["MemTotal"])
}

// meminfo reads /proc/meminfo, lines such as "MemTotal: 24606312 kB" in bytes and
// "HugePages_Free: 3" as they are. It is empty where there is none.
func meminfo() map[string]int64 {
	info := map[string]int64{}
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return info
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		number, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			continue
		}
		if unit == "kB" {
			n <<= 10
		}
		info[name] = n
	}
	return info
}
