// Package limits stands against trawling: it bounds how many different children each
// caller may read of, and how many searches it may make, in an hour, and tells the
// data managers of who goes over.
//
// What is left of a caller's allowance is in the database, so that all processes of
// the hub share it. Each takes blocks of it ahead, so that a read waits for the
// database once in hundreds; what a process holds is never more than what the
// database has parted with, so that together they never let through too much.
package limits

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/pg"
)

// Limit is how many different children a caller may read of in an hour, and how many
// searches it may make. An allowance is that large at most, and grows by as much an
// hour.
type Limit struct{ Children, Searches int32 }

// None is as good as no limit: nothing is counted.
const None = 10_000_000

// Defaults are the limits of each role, where nobody has set another.
var Defaults = map[irtv1.Role]Limit{
	irtv1.Role_ROLE_AGENCY_SYSTEM: {10_000, 5_000},
	irtv1.Role_ROLE_PRACTITIONER:  {200, 200},
	irtv1.Role_ROLE_MEDIATOR:      {200, 200},
	irtv1.Role_ROLE_DATA_MANAGER:  {2_000, 1_000},
	irtv1.Role_ROLE_AUDITOR:       {2_000, 1_000},
	irtv1.Role_ROLE_HUB_OPERATOR:  {200, 200},
}

// ParseLimit reads a limit as the command line has it: role=children/searches.
func ParseLimit(text string) (role irtv1.Role, l Limit, err error) {
	name, numbers, _ := strings.Cut(text, "=")
	role, ok := identity.ParseRole(name)
	first, second, both := strings.Cut(numbers, "/")
	children, err1 := strconv.ParseInt(first, 10, 32)
	searches, err2 := strconv.ParseInt(second, 10, 32)
	if !ok || !both || err1 != nil || err2 != nil || children < 1 || searches < 1 {
		return role, l, fmt.Errorf("limits: %q is not of the form ROLE=CHILDREN/SEARCHES, such as practitioner=200/200", text)
	}
	return role, Limit{int32(children), int32(searches)}, nil
}

// scope is for whom a limit is set; agency "" is every agency.
type scope struct {
	agency string
	role   irtv1.Role
}

const pollEvery = time.Second

// Limiter holds callers to their limits. Its interceptors run after those of audit
// and identity.
type Limiter struct {
	pool     *pgxpool.Pool
	log      *slog.Logger
	builtIn  map[irtv1.Role]Limit
	set      atomic.Pointer[map[scope]Limit]
	follower *pg.Follower
	now      func() time.Time

	accounts sync.Map // by accountKey, *account
	count    atomic.Int64
	swept    time.Time
}

// New makes a Limiter with the limits the hub was started with, those of Defaults
// where it says nothing, and follows those that are set until Close.
func New(ctx context.Context, pool *pgxpool.Pool, builtIn map[irtv1.Role]Limit, log *slog.Logger) (*Limiter, error) {
	l := &Limiter{pool: pool, log: log, builtIn: maps.Clone(Defaults), now: time.Now, swept: time.Now()}
	maps.Copy(l.builtIn, builtIn)
	l.set.Store(&map[scope]Limit{})
	var err error
	l.follower, err = pg.Follow(ctx, "access limits", pollEvery, log, l.refresh)
	return l, err
}

// Close gives back what this process holds of callers' allowances.
func (l *Limiter) Close(ctx context.Context) {
	l.follower.Close()
	l.giveBack(ctx, func(*account) bool { return true })
}

// refresh takes in the limits that are set, and from time to time clears up.
func (l *Limiter) refresh(ctx context.Context) error {
	set, err := loadLimits(ctx, l.pool)
	if err != nil {
		return err
	}
	l.set.Store(&set)
	if l.now().Sub(l.swept) < sweepEvery {
		return nil
	}
	l.swept = l.now()
	return l.sweep(ctx)
}

// limitOf is the limit that holds for callers of an agency in a role.
func (l *Limiter) limitOf(s scope) Limit {
	set := *l.set.Load()
	if len(set) > 0 {
		if limit, ok := set[s]; ok {
			return limit
		}
		if limit, ok := set[scope{"", s.role}]; ok {
			return limit
		}
	}
	return l.builtIn[s.role]
}
