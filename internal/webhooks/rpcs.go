package webhooks

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/events"
	"irthub/internal/feed"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

const (
	graceDefault = 24 * time.Hour
	graceMost    = 7 * 24 * time.Hour
	// replayAtMost is how many dead letters are tried again by one call.
	replayAtMost = 1000
)

// own takes the agency out of a parent; it must be the caller's.
func own(ctx context.Context, parent string) (string, error) {
	agency, ok := agencies.ParseName(parent)
	if !ok || agency != identity.FromContext(ctx).Agency {
		return "", rpc.Denied()
	}
	return agency, nil
}

// parse takes the agency and the id out of a subscription's name; the agency must be
// the caller's.
func parse(ctx context.Context, name string) (agency string, id uuid.UUID, err error) {
	agency, text, ok := agencies.ParseChildName(name, "subscriptions")
	if !ok || agency != identity.FromContext(ctx).Agency {
		return "", id, rpc.Denied()
	}
	if id, err = uuid.Parse(text); err != nil || id.String() != text {
		return "", id, rpc.NotFound("subscription")
	}
	return agency, id, nil
}

func notFound(err error) error {
	if errors.Is(err, errNoSubscription) {
		return rpc.NotFound("subscription")
	}
	return err
}

// find reads the subscription of a name.
func (s *Service) find(ctx context.Context, name string) (*subscription, error) {
	agency, id, err := parse(ctx, name)
	if err != nil {
		return nil, err
	}
	sub, err := load(ctx, s.pool, agency, id)
	if err != nil {
		return nil, notFound(err)
	}
	audit.FromContext(ctx).AddReturned(sub.name())
	return sub, nil
}

// change changes the subscription of a name as fn says, if its etag fits.
func (s *Service) change(ctx context.Context, name, etag string, fn func(pgx.Tx, *subscription) error) (*subscription, error) {
	agency, id, err := parse(ctx, name)
	if err != nil {
		return nil, err
	}
	var sub *subscription
	err = pg.InTxRetry(ctx, s.pool, func(tx pgx.Tx) error {
		if sub, err = loadOne(ctx, tx, ` FOR UPDATE`, agency, id); err != nil {
			return notFound(err)
		}
		if err := rpc.CheckEtag(ctx, etag, sub.message().GetEtag()); err != nil {
			return err
		}
		return fn(tx, sub)
	})
	if err != nil {
		return nil, err
	}
	audit.FromContext(ctx).AddReturned(sub.name())
	return sub, nil
}

// store stores a new version of a subscription.
func (sub *subscription) store(ctx context.Context, tx pgx.Tx) error {
	sub.updated = time.Now().UTC().Truncate(time.Microsecond)
	sub.revision++
	return sub.upsert(ctx, tx)
}

// check holds a subscription to the standard, and its address to what may be reached.
func (s *Service) check(m *irtv1.Subscription) error {
	faults, _ := standard.Check(m, standard.Options{})
	faults = append(faults, checkURL(m.GetUrl(), s.options.AllowPrivate)...)
	if len(faults) > 0 {
		return rpc.Invalid(rpc.Prefix("subscription", faults))
	}
	_, err := feed.NewFilter(m)
	return err
}

// CreateSubscription implements irtv1.SubscriptionServiceServer.
func (s *Service) CreateSubscription(ctx context.Context, req *irtv1.CreateSubscriptionRequest) (*irtv1.Subscription, error) {
	agency, err := own(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	if err := s.check(req.GetSubscription()); err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	secret := newSecret()
	sub := &subscription{
		agency: agency, id: id, settings: req.GetSubscription(), url: req.GetSubscription().GetUrl(),
		state: stated(req.GetSubscription().GetState()), purpose: identity.FromContext(ctx).Purpose,
		secret: s.key.seal(id, secret), created: time.Now().UTC().Truncate(time.Microsecond),
	}
	err = pg.InTxRetry(ctx, s.pool, func(tx pgx.Tx) error {
		others, err := query(ctx, tx, `WHERE agency_id = $1 FOR UPDATE`, agency)
		if err != nil {
			return err
		}
		if len(others) >= subscriptionsAtMost {
			return rpc.Error(codes.ResourceExhausted, irtv1.ErrorReason_ERROR_REASON_TOO_LARGE, "An agency may have 20 subscriptions. Delete one, or change it.")
		}
		end, _, err := events.Head(ctx, tx)
		if err != nil {
			return err
		}
		sub.after = end.N
		return sub.store(ctx, tx)
	})
	if err != nil {
		return nil, err
	}
	audit.FromContext(ctx).AddReturned(sub.name())
	out := sub.message()
	out.Secret = secretText(secret)
	return out, nil
}

func stated(state irtv1.SubscriptionState) irtv1.SubscriptionState {
	if state == irtv1.SubscriptionState_SUBSCRIPTION_STATE_DISABLED {
		return state
	}
	return irtv1.SubscriptionState_SUBSCRIPTION_STATE_ENABLED
}

// GetSubscription implements irtv1.SubscriptionServiceServer.
func (s *Service) GetSubscription(ctx context.Context, req *irtv1.GetSubscriptionRequest) (*irtv1.Subscription, error) {
	sub, err := s.find(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return sub.message(), nil
}

// ListSubscriptions implements irtv1.SubscriptionServiceServer. They are few.
func (s *Service) ListSubscriptions(ctx context.Context, req *irtv1.ListSubscriptionsRequest) (*irtv1.ListSubscriptionsResponse, error) {
	const method = irtv1.SubscriptionService_ListSubscriptions_FullMethodName
	agency, err := own(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	cursor, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	var after uuid.UUID
	copy(after[:], cursor)
	size := int(rpc.PageSize(req.GetPageSize(), pageDefault, pageMost))
	all, err := query(ctx, s.pool, `WHERE agency_id = $1 AND subscription_id > $2 ORDER BY subscription_id LIMIT $3`, agency, [16]byte(after), size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListSubscriptionsResponse{}
	if len(all) > size {
		all = all[:size]
		if out.NextPageToken, err = s.tokens.Encode(method, req, all[size-1].id[:]); err != nil {
			return nil, err
		}
	}
	for _, sub := range all {
		out.Subscriptions = append(out.Subscriptions, sub.message())
	}
	return out, nil
}

// UpdateSubscription implements irtv1.SubscriptionServiceServer.
func (s *Service) UpdateSubscription(ctx context.Context, req *irtv1.UpdateSubscriptionRequest) (*irtv1.Subscription, error) {
	given := req.GetSubscription()
	sub, err := s.change(ctx, given.GetName(), given.GetEtag(), func(tx pgx.Tx, sub *subscription) error {
		next, err := rpc.Revise(sub.message(), given, req.GetUpdateMask())
		if err != nil {
			return err
		}
		if err := s.check(next); err != nil {
			return err
		}
		state := stated(next.GetState())
		if next.GetState() == sub.state { // what the hub disabled stays so unless it is said to be enabled
			state = sub.state
		}
		if state != sub.state {
			if err := sub.turn(ctx, tx, state); err != nil {
				return err
			}
		}
		moved := next.GetUrl() != sub.url
		sub.settings, sub.url = next, next.GetUrl()
		if moved {
			return sub.recover(ctx, tx)
		}
		return sub.store(ctx, tx)
	})
	if err != nil {
		return nil, err
	}
	return sub.message(), nil
}

// turn gives a subscription another state. Enabled, it begins with what happens from
// now on.
func (sub *subscription) turn(ctx context.Context, tx pgx.Tx, state irtv1.SubscriptionState) error {
	end, _, err := events.Head(ctx, tx)
	if err != nil {
		return err
	}
	sub.state, sub.after = state, end.N
	sub.forgive()
	return nil
}

// forgive has earlier failures no longer count.
func (sub *subscription) forgive() {
	sub.failures, sub.failingSince, sub.holdUntil = 0, time.Time{}, time.Time{}
}

// recover stores a subscription that is forgiven, and has what waits tried at once.
func (sub *subscription) recover(ctx context.Context, tx pgx.Tx) error {
	sub.forgive()
	b := &pgx.Batch{}
	queueWaking(b, sub)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	return sub.store(ctx, tx)
}

// DeleteSubscription implements irtv1.SubscriptionServiceServer. Its jobs find that
// it is gone.
func (s *Service) DeleteSubscription(ctx context.Context, req *irtv1.DeleteSubscriptionRequest) (*emptypb.Empty, error) {
	_, err := s.change(ctx, req.GetName(), req.GetEtag(), func(tx pgx.Tx, sub *subscription) error {
		b := &pgx.Batch{}
		b.Queue(`DELETE FROM webhook_deliveries WHERE subscription_id = $1`, [16]byte(sub.id))
		b.Queue(`DELETE FROM webhook_dead_letters WHERE subscription_id = $1`, [16]byte(sub.id))
		b.Queue(`DELETE FROM webhook_subscriptions WHERE agency_id = $1 AND subscription_id = $2`, sub.agency, [16]byte(sub.id))
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// RotateSubscriptionSecret implements irtv1.SubscriptionServiceServer.
func (s *Service) RotateSubscriptionSecret(ctx context.Context, req *irtv1.RotateSubscriptionSecretRequest) (*irtv1.Subscription, error) {
	grace := graceDefault
	if req.GetGracePeriod() != nil {
		grace = req.GetGracePeriod().AsDuration()
	}
	if grace < 0 || grace > graceMost {
		return nil, rpc.Invalid([]standard.Fault{{
			Field: "grace_period", RuleID: "INT64_GTE", Description: "The time is negative, or longer than a week.",
			Action: "Send from 0 to 604800 seconds.",
		}})
	}
	secret := newSecret()
	sub, err := s.change(ctx, req.GetName(), "", func(tx pgx.Tx, sub *subscription) error {
		sub.previous, sub.previousUntil = sub.secret, time.Now().Add(grace).UTC().Truncate(time.Microsecond)
		sub.secret = s.key.seal(sub.id, secret)
		return sub.store(ctx, tx)
	})
	if err != nil {
		return nil, err
	}
	out := sub.message()
	out.Secret = secretText(secret)
	return out, nil
}

// TestSubscription implements irtv1.SubscriptionServiceServer.
func (s *Service) TestSubscription(ctx context.Context, req *irtv1.TestSubscriptionRequest) (*irtv1.Delivery, error) {
	sub, err := s.find(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	secrets, err := s.secrets(sub)
	if err != nil {
		return nil, rpc.Unavailable(err, "This process of the hub cannot sign for the subscription. Nothing was sent.")
	}
	m, err := testMessage(uuid.NewString(), time.Now())
	if err != nil {
		return nil, err
	}
	if !s.enter(sub.id) {
		return nil, rpc.Overloaded()
	}
	defer s.leave(sub.id)
	r := s.post(ctx, sub.url, m, secrets)
	b := &pgx.Batch{}
	queueDelivery(b, sub.id, deliverArgs{}, 1, r)
	if r.delivered() {
		queueRecovery(b, sub)
	}
	if err := s.pool.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	return &irtv1.Delivery{
		AttemptTime: timestamppb.New(time.Now().Add(-r.took)), Attempt: 1, Outcome: r.outcome,
		HttpStatus: int32(r.status), Latency: durationpb.New(r.took), //nolint:gosec // three digits
	}, nil
}

// ListDeliveries implements irtv1.SubscriptionServiceServer.
func (s *Service) ListDeliveries(ctx context.Context, req *irtv1.ListDeliveriesRequest) (*irtv1.ListDeliveriesResponse, error) {
	const method = irtv1.SubscriptionService_ListDeliveries_FullMethodName
	sub, err := s.find(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	cursor, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	before := uuid.Max
	copy(before[:], cursor)
	size := int(rpc.PageSize(req.GetPageSize(), pageDefault, pageMost))
	all, ids, err := listDeliveries(ctx, s.pool, sub.id, before, size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListDeliveriesResponse{Deliveries: all}
	if len(all) > size {
		out.Deliveries = all[:size]
		out.NextPageToken, err = s.tokens.Encode(method, req, ids[size-1][:])
	}
	return out, err
}

// ListDeadLetters implements irtv1.SubscriptionServiceServer.
func (s *Service) ListDeadLetters(ctx context.Context, req *irtv1.ListDeadLettersRequest) (*irtv1.ListDeadLettersResponse, error) {
	const method = irtv1.SubscriptionService_ListDeadLetters_FullMethodName
	sub, err := s.find(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	cursor, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	var after int64
	if len(cursor) == 8 {
		after = int64(binary.BigEndian.Uint64(cursor)) //nolint:gosec // it was one
	}
	size := int(rpc.PageSize(req.GetPageSize(), pageDefault, pageMost))
	all, last, err := listDeadLetters(ctx, s.pool, sub.id, after, size)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListDeadLettersResponse{DeadLetters: all}
	if len(all) == size {
		out.NextPageToken, err = s.tokens.Encode(method, req, binary.BigEndian.AppendUint64(nil, uint64(last))) //nolint:gosec // not negative
	}
	return out, err
}

// ReplayDeadLetters implements irtv1.SubscriptionServiceServer.
func (s *Service) ReplayDeadLetters(ctx context.Context, req *irtv1.ReplayDeadLettersRequest) (*irtv1.ReplayDeadLettersResponse, error) {
	var ids [][16]byte
	for _, name := range req.GetEvents() {
		text, ok := strings.CutPrefix(name, "events/")
		id, err := uuid.Parse(text)
		if !ok || err != nil {
			return nil, rpc.NotFound("dead letter")
		}
		ids = append(ids, id)
	}
	out := &irtv1.ReplayDeadLettersResponse{}
	_, err := s.change(ctx, req.GetParent(), "", func(tx pgx.Tx, sub *subscription) error {
		if sub.state != irtv1.SubscriptionState_SUBSCRIPTION_STATE_ENABLED {
			return rpc.Precondition("The subscription is not enabled. Enable it, then replay.")
		}
		letters, err := exhume(ctx, tx, sub, ids, replayAtMost)
		if err != nil || len(letters) == 0 {
			return err
		}
		out.Replayed = int32(len(letters)) //nolint:gosec // a thousand at most
		slices.SortFunc(letters, func(a, b deliverArgs) int { return int(a.Position - b.Position) })
		jobs := make([]river.InsertManyParams, len(letters))
		for i, l := range letters {
			jobs[i] = river.InsertManyParams{Args: l}
		}
		if _, err = s.river.InsertManyFastTx(ctx, tx, jobs); err != nil {
			return err
		}
		// Nothing that its agency has set changes, and its etag stays.
		b := &pgx.Batch{}
		queueRecovery(b, sub)
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
