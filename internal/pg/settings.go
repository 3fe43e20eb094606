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
max_connections = 60                # up to 24 for each of two hubs, and commands beside them`

// disposableBuffers are the shared buffers of a test cluster, in bytes.
const disposableBuffers = 256 * mib

// disposableSettings make a test cluster fast; a crash of the machine loses it.
const disposableSettings = `fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 400               # many test processes, each test with its own pool`

func settings(disposable bool, shared int64, compression, preload string, disk int64) string {
	memory := machineMemory()
	durability := durableSettings
	if disposable {
		durability = disposableSettings
	}
	return fmt.Sprintf(baseSettings, durability, shared/mib, max(memory/2, 128*mib)/mib,
		min(max(memory/20, 32*mib), 512*mib)/mib, preload, compression, min(max(disk/8, gib), 8*gib)/mib)
}

// sharedBuffers is how many bytes of a machine's memory are shared buffers. huge tells
// whether the system gives so many in huge pages now.
func sharedBuffers(memory int64, huge func(bytes int64) bool) int64 {
	quarter := min(max(memory/4, 64*mib), 8*gib)
	// What else PostgreSQL shares takes less than a sixteenth.
	if quarter <= gib || huge(quarter+quarter/16) {
		return quarter
	}
	return gib
}

// machineMemory is what this machine or container has, in bytes; 1 GiB where
// the system does not say.
func machineMemory() int64 {
	memory := int64(gib)
	if total, ok := meminfoTotal(); ok {
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

// meminfoTotal reads the line "MemTotal: 24606312 kB" of /proc/meminfo.
func meminfoTotal() (int64, bool) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int64
		if n, _ := fmt.Sscanf(lines.Text(), "MemTotal: %d kB", &kib); n == 1 {
			return kib << 10, true
		}
	}
	return 0, false
}
