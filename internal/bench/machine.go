package bench

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Description is what a run was made with, without which its absolute figures mean
// nothing.
type Description struct {
	Time        time.Time `json:"time"`
	CPUs        int       `json:"cpus"`
	CPUModel    string    `json:"cpu_model"`
	MemoryBytes int64     `json:"memory_bytes"`
	System      string    `json:"system"`
	// Load is the machine's load average of the last minute when the run began:
	// what else was going on.
	Load string `json:"load_average"`
	// Fsync is the median time, in milliseconds, in which the disk makes 8 KiB
	// durable.
	Fsync float64 `json:"fsync_ms"`
	// HugePages tells whether PostgreSQL's memory is in huge pages.
	HugePages   bool    `json:"huge_pages"`
	Hub         string  `json:"hub"`
	Go          string  `json:"go"`
	PostgreSQL  string  `json:"postgresql"`
	Connections int32   `json:"connections"` // of the raw reference, and of the hub, which has three more for its submissions
	Seconds     float64 `json:"seconds_per_side"`
	Turns       int     `json:"turns"`
}

// describe looks the machine over. What a system does not tell is left empty.
func (l *lab) describe(ctx context.Context) Description {
	d := Description{
		Time: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), CPUModel: procField("/proc/cpuinfo", "model name"),
		System: runtime.GOOS + "/" + runtime.GOARCH, Hub: l.o.Version, Go: runtime.Version(),
		Connections: l.pool.Config().MaxConns, Seconds: l.o.Duration.Seconds(), Turns: rounds,
		Fsync: fsyncTime(l.dir),
	}
	_, _ = fmt.Sscanf(procField("/proc/meminfo", "MemTotal"), "%d kB", &d.MemoryBytes)
	d.MemoryBytes <<= 10
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		d.Load, _, _ = strings.Cut(string(b), " ")
	}
	var backend int
	_ = l.pool.QueryRow(ctx, `SELECT current_setting('server_version'), pg_backend_pid()`).Scan(&d.PostgreSQL, &backend)
	var huge int64
	_, _ = fmt.Sscanf(procField(fmt.Sprintf("/proc/%d/smaps_rollup", backend), "Shared_Hugetlb"), "%d kB", &huge)
	d.HugePages = huge > 0
	return d
}

// procField is the first value of a name in a file of lines "name : value".
func procField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// fsyncTime writes 8 KiB and waits until they are durable, some fifty times; zero
// where that is not possible.
func fsyncTime(dir string) float64 {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0
	}
	defer func() { _ = os.Remove(f.Name()) }() // its directory goes too
	defer f.Close()
	var took []time.Duration
	for range 51 {
		started := time.Now()
		if _, err := f.Write(make([]byte, 8<<10)); err != nil || f.Sync() != nil {
			return 0
		}
		took = append(took, time.Since(started))
	}
	slices.Sort(took)
	return float64(took[len(took)/2].Microseconds()) / 1000
}

func (d *Description) words() string {
	memory := "in small pages"
	if d.HugePages {
		memory = "in huge pages"
	}
	return fmt.Sprintf("irthub bench, %s\nmachine: %d × %s, %.0f GiB, %s; load %s when it began; a durable write of 8 KiB takes %.1f ms\n"+
		"software: irthub %s, %s, PostgreSQL %s with its memory %s; %d connections; each side %.1f s in %d turns\n",
		d.Time.Format(time.RFC3339), d.CPUs, d.CPUModel, float64(d.MemoryBytes)/(1<<30), d.System, d.Load, d.Fsync,
		d.Hub, d.Go, d.PostgreSQL, memory, d.Connections, d.Seconds, d.Turns)
}
