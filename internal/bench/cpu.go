package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is the CPU time, in user and system mode, of the parts that share the
// machine.
type usage struct {
	client     time.Duration // this process
	hub        time.Duration
	postgres   time.Duration // the processes that serve connections
	background time.Duration // PostgreSQL's others: checkpoints, vacuum
}

func (u usage) minus(o usage) usage {
	return usage{u.client - o.client, u.hub - o.hub, u.postgres - o.postgres, u.background - o.background}
}

func (u usage) plus(o usage) usage {
	return usage{u.client + o.client, u.hub + o.hub, u.postgres + o.postgres, u.background + o.background}
}

// meter reads the CPU time of this process, which makes the load, of the hub, and
// of its PostgreSQL: from Linux's /proc. Elsewhere everything is zero, and the
// report leaves it out.
type meter struct {
	hubs       []int
	postmaster int
}

func (m *meter) read() usage {
	var u usage
	u.client, _ = spent("self")
	for _, hub := range m.hubs {
		own, _ := spent(strconv.Itoa(hub))
		u.hub += own
	}
	if m.postmaster != 0 {
		u.postgres, u.background = m.database()
	}
	return u
}

// database tells the time of the processes that serve connections, as long as they
// live, from that of all others.
func (m *meter) database() (serving, background time.Duration) {
	postmaster := strconv.Itoa(m.postmaster)
	own, ended := spent(postmaster)
	background = own + ended
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		f := statFields(path)
		if f == nil || f[statParent] != postmaster {
			continue
		}
		took := ticks(f[statUser]) + ticks(f[statSystem])
		// Such as "postgres: irthub: irthub irthub [local] idle".
		if title, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline")); bytes.Contains(title, []byte("[local]")) {
			serving += took
		} else {
			background += took
		}
	}
	return serving, background
}

// Fields of /proc/PID/stat that follow the name of the program: proc(5), whose
// numbers are greater by three.
const (
	statParent      = 1
	statUser        = 11
	statSystem      = 12
	statEndedUser   = 13
	statEndedSystem = 14
)

// spent is the CPU time of a process, and of its children that have ended.
func spent(pid string) (own, ended time.Duration) {
	f := statFields("/proc/" + pid + "/stat")
	if f == nil {
		return 0, 0
	}
	return ticks(f[statUser]) + ticks(f[statSystem]), ticks(f[statEndedUser]) + ticks(f[statEndedSystem])
}

// statFields are the fields after the name, which stands in parentheses and may
// hold anything; nil where the process has gone.
func statFields(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) <= statEndedSystem {
		return nil
	}
	return f
}

// ticks turns clock ticks, of which Linux shows programs 100 a second everywhere,
// into time.
func ticks(s string) time.Duration {
	n, _ := strconv.ParseInt(s, 10, 64)
	return time.Duration(n) * (time.Second / 100)
}

// peakMemory is the most memory that a process has had so far, in MiB; 0 where the
// system does not tell.
func peakMemory(pid int) float64 {
	var kib float64
	_, _ = fmt.Sscanf(procField("/proc/"+strconv.Itoa(pid)+"/status", "VmHWM"), "%f kB", &kib)
	return kib / 1024
}

// postmasterOf reads the process number that PostgreSQL writes into its directory.
func postmasterOf(dataDir string) int {
	b, err := os.ReadFile(filepath.Join(dataDir, "postgres", "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(first))
	return pid
}
