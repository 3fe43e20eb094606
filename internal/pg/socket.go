package pg

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	socketPort = "5432" // names the socket file; no TCP port is opened
	socketFile = ".s.PGSQL." + socketPort
	// maxSocketPath is what fits sockaddr_un on Linux, less the final zero.
	maxSocketPath = 107
)

// socketDir chooses where the socket goes: DIR/run, or a short directory under
// the system's temporary one when the path would not fit a socket address, or
// holds a comma, at which PostgreSQL and its clients split lists.
func socketDir(dataDir string) string {
	if dir := filepath.Join(dataDir, "run"); fitsSocket(dir) {
		return dir
	}
	hash := sha256.Sum256([]byte(dataDir))
	name := "irthub-" + hex.EncodeToString(hash[:8])
	if dir := filepath.Join(os.TempDir(), name); fitsSocket(dir) {
		return dir
	}
	return filepath.Join("/tmp", name)
}

func fitsSocket(dir string) bool {
	return len(dir)+1+len(socketFile) <= maxSocketPath && !strings.ContainsAny(dir, `,"`)
}

// makeSocketDir makes dir for the account alone. One that is there already
// must be the account's own: under /tmp another user could have made it.
func (a account) makeSocketDir(dir string) error {
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		return a.own(dir)
	case !errors.Is(err, os.ErrExist):
		return err
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner := fi.Sys().(*syscall.Stat_t).Uid
	if !fi.IsDir() || owner != a.uid && owner != uint32(os.Geteuid()) { //nolint:gosec // ids are 32 bits
		return fmt.Errorf("%s is not a directory of user %s: remove it", dir, a.name)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory's x is to enter it
		return err
	}
	return a.own(dir)
}

// socketURL is the address of a database behind the socket in dir.
func socketURL(dir, user, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(user), Path: "/" + database,
		RawQuery: encodeParams(url.Values{"host": {dir}, "port": {socketPort}, "sslmode": {"disable"}}),
	}
	return u.String()
}

// encodeParams writes a space as %20: to PostgreSQL's URLs a + is a plus.
func encodeParams(params url.Values) string {
	return strings.ReplaceAll(params.Encode(), "+", "%20")
}

// pidFile is what the postmaster of pgdata wrote about itself; see
// https://www.postgresql.org/docs/15/storage-file-layout.html.
type pidFile struct {
	pid       int
	socketDir string
}

// readPidFile returns the zero pidFile when there is none, or only a part of one.
func readPidFile(pgdata string) pidFile {
	f, err := os.Open(filepath.Join(pgdata, "postmaster.pid"))
	if err != nil {
		return pidFile{}
	}
	defer f.Close()
	var p pidFile
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		switch n {
		case 1:
			if _, err := fmt.Sscan(lines.Text(), &p.pid); err != nil || p.pid <= 0 {
				return pidFile{}
			}
		case 5:
			p.socketDir = strings.TrimSpace(lines.Text())
		}
	}
	return p
}

// running reports whether the pid is alive and the postmaster of pgdata, and
// not a process that has its number by now: by its command line, or, where the
// system does not show that, by whether somebody listens at the socket.
func (p pidFile) running(pgdata string) bool {
	if p.pid == 0 || errors.Is(syscall.Kill(p.pid, 0), syscall.ESRCH) {
		return false
	}
	if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid)); err == nil {
		return slices.Contains(strings.Split(string(cmdline), "\x00"), pgdata)
	}
	conn, err := net.Dial("unix", filepath.Join(p.socketDir, socketFile))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
