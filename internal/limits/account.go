package limits

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/rpc"
)

// kind is what an allowance is of, as the database has it.
type kind int16

const (
	children kind = 1
	searches kind = 2
)

const (
	// window is how long a child that was read may be read again for nothing.
	window = time.Hour
	// blocks is into how many parts an allowance is cut that processes take ahead.
	blocks = 20
	// idleFor is how long a process keeps a part of an allowance that is not drawn on.
	idleFor    = 2 * time.Minute
	sweepEvery = time.Minute
	// maxAccounts bounds memory: whoever names ever more practitioners on whose
	// behalf it calls is held by its own limit alone.
	maxAccounts = 100_000
)

// accountKey says whose allowance of what.
type accountKey struct {
	agency, practitioner string
	role                 irtv1.Role
	kind                 kind
}

// caller is how the database names whose allowance it is.
func (k accountKey) caller() string { return k.resource() + " " + identity.RoleText(k.role) }

// resource is the name of the agency or practitioner.
func (k accountKey) resource() string {
	name := "agencies/" + k.agency
	if k.practitioner != "" {
		name += "/practitioners/" + k.practitioner
	}
	return name
}

// account is what this process knows of one allowance.
type account struct {
	key     accountKey
	leasing sync.Mutex // held while the database is asked for more

	mu         sync.Mutex
	held       int                     // of the allowance, taken from the database
	seen       map[uuid.UUID]time.Time // children that were read, and when they were paid for
	used       time.Time
	emptyUntil time.Time // the database had no more to give; when it will
}

// accountsOf are whose allowances a call draws on: the caller's own and, where an
// agency's system calls for one of its practitioners, the practitioner's.
func accountsOf(c *identity.Caller, k kind) (all [2]accountKey, n int) {
	all[0] = accountKey{c.Agency, c.Practitioner, c.Role, k}
	if c.Role == irtv1.Role_ROLE_AGENCY_SYSTEM {
		all[0].practitioner = "" // a system is one caller, whatever its token says besides
		if practitioner := c.OnBehalfOfPractitioner(); practitioner != "" {
			all[1] = accountKey{c.Agency, practitioner, irtv1.Role_ROLE_PRACTITIONER, k}
			return all, 2
		}
	}
	return all, 1
}

// account finds an account, or opens it; nil where there are too many.
func (l *Limiter) account(k accountKey) *account {
	if a, ok := l.accounts.Load(k); ok {
		return a.(*account)
	}
	if k.practitioner != "" && l.count.Load() >= maxAccounts {
		return nil
	}
	a, known := l.accounts.LoadOrStore(k, &account{key: k, seen: map[uuid.UUID]time.Time{}})
	if !known {
		l.count.Add(1)
	}
	return a.(*account)
}

// allowed is how much there is to an allowance.
func (l *Limiter) allowed(k accountKey) int {
	limit := l.limitOf(scope{k.agency, k.role})
	if k.kind == searches {
		return int(limit.Searches)
	}
	return int(limit.Children)
}

// spend draws on the allowances of a call: for the children among ids that were not
// paid for in the last hour or, for a search, for one. An emergency is let through
// when there is nothing left, and told of like all else.
func (l *Limiter) spend(ctx context.Context, c *identity.Caller, k kind, ids []uuid.UUID) error {
	keys, n := accountsOf(c, k)
	for _, key := range keys[:n] {
		allowed := l.allowed(key)
		if allowed >= None {
			continue
		}
		a := l.account(key)
		if a == nil {
			continue
		}
		after, err := l.draw(ctx, a, ids, allowed)
		switch {
		case err != nil:
			return err
		case after > 0 && c.Purpose != irtv1.Purpose_PURPOSE_EMERGENCY:
			return errOver(k, allowed, after)
		}
	}
	return nil
}

func errOver(k kind, allowed int, after time.Duration) error {
	what := "read of as many different children"
	if k == searches {
		what = "made as many searches"
	}
	return rpc.RetryLater(codes.ResourceExhausted, irtv1.ErrorReason_ERROR_REASON_ACCESS_LIMIT_EXCEEDED,
		fmt.Sprintf("You have %s as you may in an hour (%d). The data managers of the hub are told. If your work needs more, ask them; "+
			"if a child is in immediate danger, call with the purpose EMERGENCY and a reason.", what, allowed), after)
}

// draw takes what is needed from what this process holds, asking the database for
// more where that is not enough. after is 0, or how long it will be until there is
// enough.
func (l *Limiter) draw(ctx context.Context, a *account, ids []uuid.UUID, allowed int) (after time.Duration, err error) {
	if _, ok := a.take(ids, l.now()); !ok {
		if after, err = l.lease(ctx, a, ids, allowed); after > 0 || err != nil {
			return after, err
		}
	}
	if a.low(allowed) && a.leasing.TryLock() { // before it is needed
		go func() {
			defer a.leasing.Unlock()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTimeout)
			defer cancel()
			_, _ = l.more(ctx, a, 0, allowed) // whoever needs it then asks again
		}()
	}
	return 0, nil
}

// take pays for what is needed if enough is held, and says what is needed if not.
func (a *account) take(ids []uuid.UUID, now time.Time) (needed int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = now
	needed = a.unpaid(ids, now)
	if needed > a.held {
		return needed, false
	}
	a.held -= needed
	if needed > 0 && a.key.kind == children {
		for _, id := range ids {
			if now.Sub(a.seen[id]) >= window {
				a.seen[id] = now
			}
		}
	}
	return needed, true
}

func (a *account) unpaid(ids []uuid.UUID, now time.Time) int {
	if a.key.kind == searches {
		return 1
	}
	n := 0
	for _, id := range ids {
		if now.Sub(a.seen[id]) >= window {
			n++
		}
	}
	return n
}

// block is how much is taken ahead of an allowance.
func block(allowed int) int { return max(1, allowed/blocks) }

func (a *account) low(allowed int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return block(allowed) > 1 && a.held < block(allowed)/2 && time.Now().After(a.emptyUntil)
}

// lease asks the database, one call at a time, until enough is held or there is no
// more.
func (l *Limiter) lease(ctx context.Context, a *account, ids []uuid.UUID, allowed int) (after time.Duration, err error) {
	a.leasing.Lock()
	defer a.leasing.Unlock()
	for {
		needed, ok := a.take(ids, l.now())
		if ok { // another call may have asked meanwhile
			return 0, nil
		}
		if after = a.emptyFor(l.now()); after > 0 {
			return after, nil
		}
		after, err = l.more(ctx, a, needed, allowed)
		switch {
		case err != nil:
			return 0, err
		case after > 0:
			l.alert(ctx, a.key)
			return after, nil
		}
	}
}

func (a *account) emptyFor(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.emptyUntil.Sub(now)
}

// more takes a block from the database, and more than that where more is needed.
// after is 0, or how long it will be until the database has what is needed.
func (l *Limiter) more(ctx context.Context, a *account, needed, allowed int) (after time.Duration, err error) {
	a.mu.Lock()
	short := needed - a.held
	a.mu.Unlock()
	granted, left, err := grant(ctx, l.pool, a.key, max(short, block(allowed)), allowed)
	if err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held += granted
	if needed <= a.held {
		return 0, nil
	}
	missing := float64(needed-a.held) - left
	after = max(time.Second, time.Duration(missing/float64(allowed)*float64(window)))
	// Who needs less may be served sooner: so no longer than until the next one.
	a.emptyUntil = l.now().Add(min(after, max(time.Second, window/time.Duration(allowed))))
	return after, nil
}

// sweep gives back what idle callers do not use, and forgets what is over.
func (l *Limiter) sweep(ctx context.Context) error {
	now := l.now()
	l.giveBack(ctx, func(a *account) bool { return now.Sub(a.used) > idleFor })
	l.accounts.Range(func(k, v any) bool {
		a := v.(*account)
		a.mu.Lock()
		defer a.mu.Unlock()
		for id, at := range a.seen {
			if now.Sub(at) >= window {
				delete(a.seen, id)
			}
		}
		if len(a.seen) == 0 && a.held == 0 && now.Sub(a.used) > idleFor && l.accounts.CompareAndDelete(k, v) {
			l.count.Add(-1)
		}
		return true
	})
	return forgetFull(ctx, l.pool)
}

// giveBack returns what is held of the accounts that fit.
func (l *Limiter) giveBack(ctx context.Context, fits func(*account) bool) {
	l.accounts.Range(func(_, v any) bool {
		a := v.(*account)
		a.mu.Lock()
		held := 0
		if fits(a) {
			held, a.held = a.held, 0
		}
		a.mu.Unlock()
		if held == 0 {
			return true
		}
		if err := restore(ctx, l.pool, a.key, held, l.allowed(a.key)); err != nil {
			l.log.WarnContext(ctx, "what is left of an allowance cannot be given back: it grows again within an hour", "error", err)
			return ctx.Err() == nil
		}
		return true
	})
}
