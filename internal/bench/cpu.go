package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is the CPU time, in user and system mode, of the three parts that share
// the machine.
type usage struct{ client, hub, postgres time.Duration }

func (u usage) minus(o usage) usage {
	return usage{u.client - o.client, u.hub - o.hub, u.postgres - o.postgres}
}

func (u usage) plus(o usage) usage {
	return usage{u.client + o.client, u.hub + o.hub, u.postgres + o.postgres}
}

// meter reads the CPU time of this process, which makes the load, of the hub, and
// of its PostgreSQL: from Linux's /proc. Elsewhere everything is zero, and the
// report leaves it out.
type meter struct {
	hub        int
	postmaster int
}

func (m *meter) read() usage {
	var u usage
	u.client, _ = spent("self")
	u.hub, _ = spent(strconv.Itoa(m.hub))
	u.postgres = m.postgres()
	return u
}

// postgres is the time of the postmaster, of its children, and of those that have
// ended.
func (m *meter) postgres() time.Duration {
	if m.postmaster == 0 {
		return 0
	}
	own, ended := spent(strconv.Itoa(m.postmaster))
	sum := own + ended
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		if f := statFields(path); f != nil && f[statParent] == strconv.Itoa(m.postmaster) {
			sum += ticks(f[statUser]) + ticks(f[statSystem])
		}
	}
	return sum
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
