package pg

import (
	"errors"
	"os"
	"time"
)

const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 10 * time.Second
	// steadyAfter is how long a postmaster must have run for its next death to
	// count as a new trouble, and not as more of the last.
	steadyAfter = time.Minute
)

// supervise keeps the cluster up until Stop, from the running postmaster p, or
// from none when p is nil: when it dies it is started again, after pauses that
// grow while it keeps dying.
func (c *Cluster) supervise(p *process) error {
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		if p != nil {
			since := time.Now()
			if c.watch(p) {
				return c.stopOwned(p)
			}
			if time.Since(since) > steadyAfter {
				backoff = firstBackoff
			}
		}
		select {
		case <-c.life.Done():
			return nil
		case <-time.After(backoff):
		}
		var err error
		if p, err = c.startOnce(c.life); err != nil && c.life.Err() == nil {
			c.in.log.Error("PostgreSQL does not start; trying again", "error", err)
		}
	}
}

// watch returns true when Stop was called, false when the postmaster has died.
func (c *Cluster) watch(p *process) (stop bool) {
	logs := time.NewTicker(time.Minute)
	defer logs.Stop()
	for {
		select {
		case <-c.life.Done():
			return true
		case <-p.exited:
			c.in.log.Error("PostgreSQL died; starting it again", "pid", p.cmd.Process.Pid, "error", p.err)
			return false
		case <-logs.C:
			if err := boundLog(c.in.logPath()); err != nil {
				c.in.log.Warn("postgres.log cannot be kept short", "error", err)
			}
		}
	}
}

// stopOwned ends the postmaster and removes a socket directory outside DIR,
// where nobody would look for it.
func (c *Cluster) stopOwned(p *process) error {
	err := c.end(p)
	_ = os.Remove(c.in.socketDir) // empty by now; made again at the next start
	return err
}

// follow waits, in a process that joined, for the owner to go, and then owns
// the cluster itself until Stop.
func (c *Cluster) follow() {
	defer close(c.done)
	lock := c.awaitLock()
	if lock == nil {
		return
	}
	c.in.log.Warn("the process that ran PostgreSQL has gone; this one takes over", "dir", c.in.pgdata())
	c.owned.Store(true)
	c.stopErr = errors.Join(c.supervise(nil), lock.Close())
}

// awaitLock returns the owner's lock once it is free, or nil after Stop.
func (c *Cluster) awaitLock() *os.File {
	for wait(c.life, lockPoll) == nil {
		if lock, err := tryLock(c.lockPath()); err == nil {
			return lock
		}
	}
	return nil
}
