package webhooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/rpc"
)

// subscription is one as it is stored.
type subscription struct {
	agency       string
	id           uuid.UUID
	settings     *irtv1.Subscription // what people set
	state        irtv1.SubscriptionState
	purpose      irtv1.Purpose
	url          string
	secret       []byte // sealed
	previous     []byte // sealed; nil if there is none
	after        int64
	failures     int
	revision     int32
	created      time.Time
	updated      time.Time
	failingSince time.Time // zero: it is not failing

	previousUntil, holdUntil time.Time
}

// message is the subscription as its agency sees it.
func (sub *subscription) message() *irtv1.Subscription {
	return &irtv1.Subscription{
		Name: sub.name(), DisplayName: sub.settings.GetDisplayName(), Url: sub.url, Kinds: sub.settings.GetKinds(),
		Children: sub.settings.GetChildren(), Agencies: sub.settings.GetAgencies(), State: sub.state, Purpose: sub.purpose,
		PreviousSecretExpireTime: stamp(sub.stillTwo()), FailingSince: stamp(sub.failingSince),
		CreateTime: timestamppb.New(sub.created), UpdateTime: timestamppb.New(sub.updated), Etag: rpc.Etag(sub.id.String(), sub.revision),
	}
}

// stillTwo is until when signatures are made with two secrets, if they are.
func (sub *subscription) stillTwo() time.Time {
	if time.Now().Before(sub.previousUntil) {
		return sub.previousUntil
	}
	return time.Time{}
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

const subscriptionColumns = `agency_id, subscription_id, display_name, url, kinds, children, agencies, state, purpose,
	secret, previous_secret, previous_until, after_position, failures, failing_since, hold_until, create_time, update_time, revision`

func scanSubscription(row pgx.CollectableRow) (*subscription, error) {
	sub := &subscription{settings: &irtv1.Subscription{}}
	var id [16]byte
	var kinds []int32
	var state, purpose int16
	var until, failing, hold *time.Time
	err := row.Scan(&sub.agency, &id, &sub.settings.DisplayName, &sub.url, &kinds, &sub.settings.Children, &sub.settings.Agencies,
		&state, &purpose, &sub.secret, &sub.previous, &until, &sub.after, &sub.failures, &failing, &hold,
		&sub.created, &sub.updated, &sub.revision)
	sub.id, sub.state, sub.purpose = id, irtv1.SubscriptionState(state), irtv1.Purpose(purpose)
	sub.previousUntil, sub.failingSince, sub.holdUntil = orZero(until), orZero(failing), orZero(hold)
	for _, k := range kinds {
		sub.settings.Kinds = append(sub.settings.Kinds, irtv1.EventKind(k))
	}
	return sub, err
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// errNoSubscription says that there is none of that name.
var errNoSubscription = errors.New("webhooks: no such subscription")

// load reads one subscription.
func load(ctx context.Context, db events.Querier, agency string, id uuid.UUID) (*subscription, error) {
	return loadOne(ctx, db, ``, agency, id)
}

func loadOne(ctx context.Context, db events.Querier, lock, agency string, id uuid.UUID) (*subscription, error) {
	all, err := query(ctx, db, `WHERE agency_id = $1 AND subscription_id = $2`+lock, agency, [16]byte(id))
	if err == nil && len(all) == 0 {
		err = errNoSubscription
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// enabled are the subscriptions that events are sent to.
func enabled(ctx context.Context, db events.Querier) ([]*subscription, error) {
	return query(ctx, db, `WHERE state = $1`, int16(irtv1.SubscriptionState_SUBSCRIPTION_STATE_ENABLED))
}

func query(ctx context.Context, db events.Querier, where string, args ...any) ([]*subscription, error) {
	rows, err := db.Query(ctx, `SELECT `+subscriptionColumns+` FROM webhook_subscriptions `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("webhooks: reading subscriptions: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanSubscription)
	if err != nil {
		return nil, fmt.Errorf("webhooks: reading subscriptions: %w", err)
	}
	return all, nil
}

// upsert stores a subscription whole.
func (sub *subscription) upsert(ctx context.Context, tx pgx.Tx) error {
	kinds := make([]int32, len(sub.settings.GetKinds()))
	for i, k := range sub.settings.GetKinds() {
		kinds[i] = int32(k)
	}
	_, err := tx.Exec(ctx, `INSERT INTO webhook_subscriptions (`+subscriptionColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT (agency_id, subscription_id) DO UPDATE SET display_name = excluded.display_name, url = excluded.url,
			kinds = excluded.kinds, children = excluded.children, agencies = excluded.agencies, state = excluded.state,
			secret = excluded.secret, previous_secret = excluded.previous_secret, previous_until = excluded.previous_until,
			after_position = excluded.after_position, failures = excluded.failures, failing_since = excluded.failing_since,
			hold_until = excluded.hold_until, update_time = excluded.update_time, revision = excluded.revision`,
		sub.agency, [16]byte(sub.id), sub.settings.GetDisplayName(), sub.url, kinds, orEmpty(sub.settings.GetChildren()),
		orEmpty(sub.settings.GetAgencies()), int16(sub.state), int16(sub.purpose), sub.secret, sub.previous, orNull(sub.previousUntil), //nolint:gosec // few
		sub.after, sub.failures, orNull(sub.failingSince), orNull(sub.holdUntil), sub.created, sub.updated, sub.revision)
	if err != nil {
		return fmt.Errorf("webhooks: storing a subscription: %w", err)
	}
	return nil
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// queueDelivery queues the log's row of an attempt.
func queueDelivery(b *pgx.Batch, subscription uuid.UUID, of deliverArgs, attempt int, r result) {
	b.Queue(`INSERT INTO webhook_deliveries (subscription_id, delivery_id, event_id, attempt, attempt_time, outcome, http_status, latency_micros)
		SELECT $1, $2, (SELECT e.event_id FROM events e WHERE e.day = $3 AND e.position = $4), $5, $6, $7, $8, $9`,
		[16]byte(subscription), [16]byte(uuid.Must(uuid.NewV7())), of.at().Date(), of.Position, attempt,
		time.Now().Add(-r.took), int16(r.outcome), r.status, r.took.Microseconds()) //nolint:gosec // outcomes are few
}

// listDeliveries lists attempts before one, the newest first.
func listDeliveries(ctx context.Context, db events.Querier, subscription, before uuid.UUID, limit int) (all []*irtv1.Delivery, ids []uuid.UUID, err error) {
	rows, err := db.Query(ctx, `SELECT delivery_id, event_id, attempt, attempt_time, outcome, http_status, latency_micros
		FROM webhook_deliveries WHERE subscription_id = $1 AND delivery_id < $2 ORDER BY delivery_id DESC LIMIT $3`,
		[16]byte(subscription), [16]byte(before), limit)
	if err != nil {
		return nil, nil, fmt.Errorf("webhooks: reading attempts: %w", err)
	}
	all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*irtv1.Delivery, error) {
		d := &irtv1.Delivery{}
		var id [16]byte
		var event *[16]byte
		var at time.Time
		var micros int64
		err := row.Scan(&id, &event, &d.Attempt, &at, &d.Outcome, &d.HttpStatus, &micros)
		if event != nil {
			d.Event = eventName(*event)
		}
		ids = append(ids, id)
		d.AttemptTime, d.Latency = timestamppb.New(at), durationpb.New(time.Duration(micros)*time.Microsecond)
		return d, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("webhooks: reading attempts: %w", err)
	}
	return all, ids, nil
}

func eventName(id uuid.UUID) string { return "events/" + id.String() }

// listDeadLetters lists dead letters after a position, the oldest first.
func listDeadLetters(ctx context.Context, db events.Querier, subscription uuid.UUID, after int64, limit int) (all []*irtv1.DeadLetter, last int64, err error) {
	rows, err := db.Query(ctx, `SELECT position, event_id, kind, attempts, outcome, http_status, create_time
		FROM webhook_dead_letters WHERE subscription_id = $1 AND position > $2 ORDER BY position LIMIT $3`,
		[16]byte(subscription), after, limit)
	if err != nil {
		return nil, 0, fmt.Errorf("webhooks: reading dead letters: %w", err)
	}
	all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*irtv1.DeadLetter, error) {
		d := &irtv1.DeadLetter{}
		var event [16]byte
		var at time.Time
		err := row.Scan(&last, &event, &d.Kind, &d.Attempts, &d.Outcome, &d.HttpStatus, &at)
		d.Event, d.CreateTime = eventName(event), timestamppb.New(at)
		return d, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("webhooks: reading dead letters: %w", err)
	}
	return all, last, nil
}

// exhume takes dead letters out: those of the events, or the oldest.
func exhume(ctx context.Context, tx pgx.Tx, sub *subscription, eventIDs [][16]byte, limit int) ([]deliverArgs, error) {
	rows, err := tx.Query(ctx, `DELETE FROM webhook_dead_letters WHERE subscription_id = $1 AND position IN (
			SELECT position FROM webhook_dead_letters WHERE subscription_id = $1 AND ($2::uuid[] IS NULL OR event_id = ANY($2))
			ORDER BY position LIMIT $3)
		RETURNING day, position`, [16]byte(sub.id), eventIDs, limit)
	if err != nil {
		return nil, fmt.Errorf("webhooks: taking dead letters out: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (deliverArgs, error) {
		var day time.Time
		var position int64
		err := row.Scan(&day, &position)
		return deliverArgs{sub.agency, sub.id, events.At(day, position).Day, position}, err
	})
	if err != nil {
		return nil, fmt.Errorf("webhooks: taking dead letters out: %w", err)
	}
	return all, nil
}
