package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// hubProcess is the hub under measurement, in a process of its own, so that its
// CPU time is told apart from that of the load, and nothing is shared with it
// that a caller does not share.
type hubProcess struct {
	cmd      *exec.Cmd
	grpc     string // where it answers
	http     string
	metrics  string // "" for nowhere
	messages tail
	exited   chan struct{}
	err      error // how it ended; read after exited
}

const (
	hubStart = time.Minute
	hubStop  = 30 * time.Second
)

// startHub runs a hub on the database in dir, and returns when it answers.
func startHub(ctx context.Context, o Options, dir string, more ...string) (*hubProcess, error) {
	args := append(slices.Clone(o.Hub[1:]),
		// Readers here read more than anyone may; what they read is counted all the same.
		"--access-limit", "practitioner=9000000/9000000", "--access-limit", "agency-system=9000000/9000000", "--access-limit", "data-manager=9000000/9000000",
		"--data", dir, "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-level", "warn")
	args = append(args, more...)
	h := &hubProcess{cmd: exec.Command(o.Hub[0], args...), exited: make(chan struct{})} //nolint:gosec // this program itself
	h.cmd.Env = append(hubEnvironment(), o.environment...)
	h.cmd.Stderr = &h.messages
	h.cmd.SysProcAttr = hubAttributes()
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.start(); err != nil {
		return nil, err
	}
	ready := make(chan error, 1)
	go func() { ready <- h.readReady(bufio.NewReader(out)) }()
	ctx, cancel := context.WithTimeout(ctx, hubStart)
	defer cancel()
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, h.stop(), h.lastWords())
	}
	return h, nil
}

// start starts the process from a thread that stays: it is ended when that
// thread ends, which is when this program does, however it does.
func (h *hubProcess) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := h.cmd.Start()
		started <- err
		if err == nil {
			h.err = h.cmd.Wait()
			close(h.exited)
		}
	}()
	return <-started
}

func (h *hubProcess) readReady(out *bufio.Reader) error {
	line, err := out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the hub ended before it was ready: %w", err)
	}
	var ready struct {
		Ready      bool
		GRPC, HTTP string
		Metrics    string
	}
	if err := json.Unmarshal(line, &ready); err != nil || !ready.Ready {
		return fmt.Errorf("the hub did not say that it is ready: %w", err)
	}
	h.grpc, h.http, h.metrics = ready.GRPC, ready.HTTP, ready.Metrics
	return nil
}

// hubEnvironment is this program's, without what would lead the hub to anybody's
// data or change what is measured.
func hubEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "IRTHUB_") || strings.HasPrefix(v, "PG")
	})
}

// stop has the hub end in order, or else ends it.
func (h *hubProcess) stop() error {
	_ = h.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-h.exited:
	case <-time.After(hubStop):
		_ = h.cmd.Process.Kill()
		<-h.exited
	}
	if h.err != nil {
		return fmt.Errorf("the hub: %w", h.err)
	}
	return nil
}

// lastWords are the end of the hub's log, as an error to join to another; nil if
// it has said nothing. It logs no personal data, and this hub knows none.
func (h *hubProcess) lastWords() error {
	if words := h.messages.String(); words != "" {
		return fmt.Errorf("the hub said: %s", words)
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailLength = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if more := len(t.kept) - tailLength; more > 0 {
		t.kept = slices.Delete(t.kept, 0, more)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.kept))
}
