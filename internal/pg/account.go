package pg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is who PostgreSQL runs as. It refuses to run as root, so a hub that
// is root starts it as another user and gives that user the data directory.
type account struct {
	name     string
	uid, gid uint32
	drop     bool // the hub is root and starts PostgreSQL as this account
}

// pickAccount is the hub's own account, or, when that is root, the owner of
// the cluster in pgdata, or else the user postgres, or nobody.
func pickAccount(pgdata string) (account, error) {
	if uid := os.Geteuid(); uid != 0 {
		return account{name: strconv.Itoa(uid), uid: uint32(uid), gid: uint32(os.Getegid())}, nil //nolint:gosec // ids are 32 bits
	}
	if fi, err := os.Stat(pgdata); err == nil {
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != 0 {
			return account{name: accountName(st.Uid), uid: st.Uid, gid: st.Gid, drop: true}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
			gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
			return account{name: name, uid: uint32(uid), gid: uint32(gid), drop: true}, errors.Join(err1, err2)
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as: run the hub as another user")
}

func accountName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// own gives path to the account; nothing to do unless the hub is root.
func (a account) own(path string) error {
	if !a.drop {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// ownTree gives pgdata and all in it to the account when root owns it, as
// after a restore from a backup.
func (a account) ownTree(pgdata string) error {
	fi, err := os.Stat(pgdata)
	if err != nil || !a.drop || fi.Sys().(*syscall.Stat_t).Uid == a.uid {
		return err
	}
	return filepath.WalkDir(pgdata, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return a.own(path)
	})
}

// canEnter explains why the account cannot reach dir, an absolute path without
// links: some directory on the way, such as a 0700 home, lets only its owner in.
func (a account) canEnter(dir string) error {
	if !a.drop {
		return nil
	}
	for p := dir; ; p = filepath.Dir(p) {
		fi, err := os.Stat(p)
		if err != nil {
			return err
		}
		if !a.mayPass(fi) {
			return fmt.Errorf("PostgreSQL runs as user %s, which may not enter %s (mode %#o): "+
				"choose a directory outside it, such as /var/lib/irthub, or run the hub as another user than root",
				a.name, p, fi.Mode().Perm())
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}

func (a account) mayPass(dir fs.FileInfo) bool {
	st := dir.Sys().(*syscall.Stat_t)
	switch {
	case st.Uid == a.uid:
		return dir.Mode()&0o100 != 0
	case st.Gid == a.gid:
		return dir.Mode()&0o010 != 0
	}
	return dir.Mode()&0o001 != 0
}
