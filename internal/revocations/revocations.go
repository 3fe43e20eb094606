// Package revocations keeps the tokens and client certificates that are refused
// before their time is over. Every process asks for new ones each second, so that a
// revocation holds everywhere within a few.
package revocations

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

const (
	pollEvery = time.Second
	// pollOverlap is how far each poll looks back: a create_time is set before its
	// transaction commits.
	pollOverlap = 15 * time.Second
	// reloadEvery catches what even that missed, and forgets what has expired.
	reloadEvery = time.Minute

	// certificateLife is the longest that a certificate is taken to be good for.
	certificateLife = 10 * 366 * 24 * time.Hour
	tokenLife       = identity.MaxLifetime + time.Minute

	pageDefault = 50
	pageMost    = 1000
)

// revoked names a token or certificate.
type revoked struct{ Issuer, TokenID string }

// Service is irt.v1.RevocationService, and answers from memory whether a token has
// been revoked.
type Service struct {
	irtv1.UnimplementedRevocationServiceServer

	pool     *pgxpool.Pool
	tokens   *rpc.PageTokens
	follower *pg.Follower

	mu       sync.Mutex // held while one set is made from another
	present  atomic.Pointer[map[revoked]bool]
	asked    time.Time // by the database's clock; zero: everything is to be asked for
	reloaded time.Time
}

// New makes the service and follows what other processes revoke until Close.
func New(ctx context.Context, pool *pgxpool.Pool, tokens *rpc.PageTokens, log *slog.Logger) (*Service, error) {
	s := &Service{pool: pool, tokens: tokens}
	s.present.Store(&map[revoked]bool{})
	var err error
	s.follower, err = pg.Follow(ctx, "revocations", pollEvery, log, s.load)
	return s, err
}

// Close stops following.
func (s *Service) Close() { s.follower.Close() }

// Revoked says that a token or certificate has been revoked, as far as this process
// knows. It is for identity, on every call.
func (s *Service) Revoked(issuer, tokenID string) bool {
	present := *s.present.Load()
	return len(present) > 0 && present[revoked{issuer, tokenID}]
}

// load is called by one goroutine at a time.
func (s *Service) load(ctx context.Context) error {
	whole := time.Since(s.reloaded) > reloadEvery
	since := s.asked.Add(-pollOverlap)
	if whole {
		since = time.Time{}
	}
	found, asked, err := changedSince(ctx, s.pool, since)
	if err != nil {
		return err
	}
	s.apply(found, whole)
	s.asked = asked
	if whole {
		s.reloaded = time.Now()
	}
	return nil
}

// apply adds to what is revoked, or replaces it. What this process has revoked since
// a whole set was asked for may be missing from it until the next poll, a second on.
func (s *Service) apply(found []revoked, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[revoked]bool{}
	changed := whole
	if !whole {
		next = *s.present.Load()
	}
	for _, r := range found {
		if next[r] {
			continue
		}
		if !changed {
			next, changed = maps.Clone(next), true
		}
		next[r] = true
	}
	if changed {
		s.present.Store(&next)
	}
}

// RevokeToken implements irtv1.RevocationServiceServer.
func (s *Service) RevokeToken(ctx context.Context, req *irtv1.RevokeTokenRequest) (*irtv1.Revocation, error) {
	r := req.GetRevocation()
	expiry, err := expiryOf(r, time.Now())
	if err != nil {
		return nil, err
	}
	caller := identity.FromContext(ctx)
	by := caller.PractitionerName()
	if by == "" {
		by = caller.AgencyName()
	}
	wanted := &irtv1.Revocation{
		Issuer: r.GetIssuer(), TokenId: r.GetTokenId(), ExpireTime: timestamppb.New(expiry),
		Reason: standard.CleanText(r.GetReason()), RevokedBy: by,
	}
	e := audit.FromContext(ctx)
	stored, err := Revoke(ctx, s.pool, wanted, caller.Agency, e)
	if err != nil {
		return nil, err
	}
	e.Recorded()
	s.apply([]revoked{{stored.GetIssuer(), stored.GetTokenId()}}, false)
	return stored, nil
}

// Revoke stores a revocation, the entry of the access log and the event together. The
// agency is whose act it was, "" for the hub's own.
func Revoke(ctx context.Context, pool *pgxpool.Pool, r *irtv1.Revocation, agency string, e *audit.Entry) (stored *irtv1.Revocation, err error) {
	err = pg.InTxRetry(ctx, pool, func(tx pgx.Tx) (err error) {
		if stored, err = insert(ctx, tx, r); err != nil {
			return err
		}
		if err := events.Append(ctx, tx, []events.Event{{
			Kind: irtv1.EventKind_EVENT_KIND_TOKEN_REVOKED, Agency: agency,
			Time: stored.GetCreateTime().AsTime(),
		}}); err != nil {
			return err
		}
		return audit.Insert(ctx, tx, []*audit.Entry{e})
	})
	return stored, err
}

// expiryOf is when a revocation may be forgotten: as stated, within the time that
// what it revokes can be good for.
func expiryOf(r *irtv1.Revocation, now time.Time) (time.Time, error) {
	latest := now.Add(tokenLife)
	if r.GetIssuer() == identity.CertificateIssuer {
		latest = now.Add(certificateLife)
	}
	if r.GetExpireTime() == nil {
		return latest, nil
	}
	expiry := r.GetExpireTime().AsTime()
	if !expiry.After(now) || expiry.After(latest) {
		return expiry, rpc.Invalid([]standard.Fault{{
			Field: "revocation.expire_time", RuleID: "EXPIRE_TIME_RANGE",
			Description: "The time is over already, or later than a token or certificate can be good for.",
			Action:      "Leave it out, or send the exp of the token or the end of the certificate.",
		}})
	}
	return expiry, nil
}

// position is where a page ended.
type position struct {
	Time            time.Time
	Issuer, TokenID string
}

// ListRevocations implements irtv1.RevocationServiceServer.
func (s *Service) ListRevocations(ctx context.Context, req *irtv1.ListRevocationsRequest) (*irtv1.ListRevocationsResponse, error) {
	const method = irtv1.RevocationService_ListRevocations_FullMethodName
	var after position
	cursor, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err == nil && len(cursor) > 0 {
		err = json.Unmarshal(cursor, &after) // sealed by this hub
	}
	if err != nil {
		return nil, err
	}
	size := int(rpc.PageSize(req.GetPageSize(), pageDefault, pageMost))
	found, err := list(ctx, s.pool, after, size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListRevocationsResponse{Revocations: found}
	if len(found) > size {
		out.Revocations = found[:size]
		last := found[size-1]
		cursor, err := json.Marshal(position{last.GetCreateTime().AsTime(), last.GetIssuer(), last.GetTokenId()})
		if err != nil {
			return nil, err
		}
		if out.NextPageToken, err = s.tokens.Encode(method, req, cursor); err != nil {
			return nil, err
		}
	}
	return out, nil
}
