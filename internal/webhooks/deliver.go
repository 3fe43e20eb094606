package webhooks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/events"
	"irthub/internal/feed"
	"irthub/internal/identity"
	"irthub/internal/pg"
)

const (
	// attemptsAtMost is how often an event is attempted before it is a dead letter:
	// for about a day.
	attemptsAtMost = 10
	// firstRetry is the wait after the first failure; each after it is four times as
	// long, up to longestRetry.
	firstRetry   = 5 * time.Second
	longestRetry = 6 * time.Hour
	// failedAfter is how long every attempt must fail before a subscription is disabled,
	// and failedAtLeast how many there must have been: one failure long ago and another
	// now, with nothing to send between them, say little of an address.
	failedAfter   = 72 * time.Hour
	failedAtLeast = 10
	// atOnce is how many messages a process sends at the same time, and atOnceEach how
	// many to one subscription: one that hangs must not hold the others up.
	atOnce     = 24
	atOnceEach = 4
	// snooze is the wait of a job that may not go on now, for a cause that is not its own.
	snooze = 2 * time.Second

	queueName = "webhooks"
	// deliverMethod is what the access log calls a delivery.
	deliverMethod = "/irt.v1.SubscriptionService/Deliver"
)

// deliverArgs are a job: one event for one subscription. They hold no personal data.
type deliverArgs struct {
	Agency       string    `json:"a"`
	Subscription uuid.UUID `json:"s"`
	Day          int32     `json:"d"`
	Position     int64     `json:"p"`
}

// Kind implements river.JobArgs.
func (deliverArgs) Kind() string { return "webhook" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (deliverArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueName, MaxAttempts: attemptsAtMost}
}

// worker does the jobs.
type worker struct {
	river.WorkerDefaults[deliverArgs]
	s *Service
}

// Timeout implements river.Worker.
func (*worker) Timeout(*river.Job[deliverArgs]) time.Duration { return 2 * postTimeout }

// NextRetry implements river.Worker.
func (w *worker) NextRetry(job *river.Job[deliverArgs]) time.Time {
	return time.Now().Add(w.s.backOff(job.Attempt))
}

// backOff is how long to wait after so many failures, give or take a fifth, so that
// what failed together is not tried again together.
func (s *Service) backOff(failures int) time.Duration {
	d := s.firstRetry
	for range min(failures, attemptsAtMost) - 1 {
		d = min(4*d, s.longestRetry)
	}
	return d - d/5 + rand.N(2*d/5+1) //nolint:gosec // jitter
}

// errNotTaken says that an attempt failed. River keeps the words: they name nobody.
var errNotTaken = errors.New("webhooks: the event was not taken in")

// Work implements river.Worker. An event at which the hub itself fails, by a panic
// also, has been attempted like any other: it is tried again, and in the end a dead
// letter. River alone would throw the job away.
func (w *worker) Work(ctx context.Context, job *river.Job[deliverArgs]) (err error) {
	defer func() {
		if v := recover(); v != nil {
			// The value may hold what was to be sent.
			err = w.s.faulted(ctx, job, fmt.Errorf("webhooks: panic with a %T", v), debug.Stack())
		}
	}()
	return w.deliver(ctx, job)
}

func (w *worker) deliver(ctx context.Context, job *river.Job[deliverArgs]) error {
	s, args := w.s, job.Args
	sub, err := load(ctx, s.pool, args.Agency, args.Subscription)
	switch {
	case errors.Is(err, errNoSubscription):
		return river.JobCancel(err)
	case err != nil:
		return again(err)
	case sub.state != irtv1.SubscriptionState_SUBSCRIPTION_STATE_ENABLED:
		return s.bury(ctx, job, result{})
	case time.Now().Before(sub.holdUntil):
		return river.JobSnooze(time.Until(sub.holdUntil) + rand.N(snooze)) //nolint:gosec // jitter
	case !s.enter(sub.id):
		return river.JobSnooze(snooze/2 + rand.N(snooze)) //nolint:gosec // jitter
	}
	defer s.leave(sub.id)
	event, access, err := s.event(ctx, sub, args)
	if err != nil {
		return again(err)
	}
	if event == nil {
		return river.JobCancel(errNotForThem)
	}
	m, err := eventMessage(event)
	if err != nil {
		return s.faulted(ctx, job, err, nil)
	}
	secrets, err := s.secrets(sub)
	if err != nil {
		s.log.ErrorContext(ctx, "a webhook cannot be signed by this process", "error", err)
		return river.JobSnooze(time.Minute)
	}
	if err := s.writer.Write(ctx, access); err != nil {
		return again(err)
	}
	return s.conclude(ctx, sub, job, s.post(ctx, sub.url, m, secrets))
}

// errNotForThem says that the event has gone, or that the agency may no longer be
// told of it.
var errNotForThem = errors.New("webhooks: the event is no longer for the subscriber")

// again has a job tried soon, without counting the attempt: the fault is the hub's.
func again(error) error { return river.JobSnooze(5 * snooze) }

// event is the event of a job as the subscriber may know of it now, nil if it may
// not, and the access that telling it is.
func (s *Service) event(ctx context.Context, sub *subscription, args deliverArgs) (*irtv1.Event, *audit.Entry, error) {
	to, filter, err := s.receiver(ctx, sub)
	if err != nil || filter == nil {
		return nil, nil, err
	}
	logged, err := events.Read(ctx, s.pool, events.Position{Day: args.Day, N: args.Position - 1}, 1)
	if err != nil || len(logged) == 0 || logged[0].At.N != args.Position {
		return nil, nil, err
	}
	entries, err := feed.SortOut(ctx, s.pool, logged)
	if err != nil {
		return nil, nil, err
	}
	event := to.Message(entries[0], filter, s.directory)
	if event == nil {
		return nil, nil, nil
	}
	access := audit.New(identity.NewContext(ctx, to.Caller()), deliverMethod)
	access.AddChild(entries[0].Children()...)
	access.AddReturned(event.GetName(), sub.name())
	return event, access, nil
}

// receiver is a subscription as a receiver of events, and its filter; nil if its
// agency is told nothing.
func (s *Service) receiver(ctx context.Context, sub *subscription) (feed.Receiver, *feed.Filter, error) {
	kind, sensitive, active, err := s.facts(ctx, sub.agency)
	if err != nil || !active {
		return feed.Receiver{}, nil, err
	}
	to := feed.ReceiverOf(identity.Caller{
		Agency: sub.agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Kind: kind, Sensitive: sensitive, Purpose: sub.purpose,
	})
	filter, err := feed.NewFilter(sub.message())
	return to, filter, err
}

// conclude notes what came of an attempt, and decides how it goes on.
func (s *Service) conclude(ctx context.Context, sub *subscription, job *river.Job[deliverArgs], r result) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postTimeout)
	defer cancel()
	if err := s.note(ctx, sub, job, r); err != nil {
		s.log.WarnContext(ctx, "what came of a webhook could not be noted", "error", err)
	}
	failing := !sub.failingSince.IsZero() && time.Since(sub.failingSince) > failedAfter && sub.failures+1 >= failedAtLeast
	switch {
	case r.delivered():
		return nil
	case r.gone(), failing:
		if err := s.fail(ctx, sub); err != nil {
			return again(err)
		}
		return s.bury(ctx, job, r)
	case job.Attempt >= job.MaxAttempts:
		return s.bury(ctx, job, r)
	}
	return errNotTaken
}

// faulted notes an attempt at which the hub failed. The cause goes to the log.
func (s *Service) faulted(ctx context.Context, job *river.Job[deliverArgs], cause error, stack []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postTimeout)
	defer cancel()
	s.log.ErrorContext(ctx, "the hub failed at a webhook", "error", cause, "attempt", job.Attempt, "stack", string(stack))
	r := result{outcome: irtv1.DeliveryOutcome_DELIVERY_OUTCOME_HUB_FAILED}
	b := &pgx.Batch{}
	queueDelivery(b, job.Args.Subscription, job.Args, job.Attempt, r)
	if err := s.pool.SendBatch(ctx, b).Close(); err != nil {
		s.log.WarnContext(ctx, "what came of a webhook could not be noted", "error", err)
	}
	if job.Attempt >= job.MaxAttempts {
		return s.bury(ctx, job, r)
	}
	return errNotTaken
}

// note writes the attempt into the log, and what it says of the subscription. Several
// attempts that were under way at once and failed count as one.
func (s *Service) note(ctx context.Context, sub *subscription, job *river.Job[deliverArgs], r result) error {
	b := &pgx.Batch{}
	queueDelivery(b, sub.id, job.Args, job.Attempt, r)
	switch {
	case !r.delivered():
		b.Queue(`UPDATE webhook_subscriptions SET failures = failures + 1, failing_since = coalesce(failing_since, now()),
			hold_until = now() + $3::interval WHERE agency_id = $1 AND subscription_id = $2 AND failures = $4`,
			sub.agency, [16]byte(sub.id), s.backOff(sub.failures+1), sub.failures)
	case !sub.failingSince.IsZero():
		queueRecovery(b, sub)
	}
	return s.pool.SendBatch(ctx, b).Close()
}

// queueRecovery notes that the address takes messages again.
func queueRecovery(b *pgx.Batch, sub *subscription) {
	b.Queue(`UPDATE webhook_subscriptions SET failures = 0, failing_since = NULL, hold_until = NULL
		WHERE agency_id = $1 AND subscription_id = $2`, sub.agency, [16]byte(sub.id))
	queueWaking(b, sub)
}

// queueWaking has what waits tried at once.
func queueWaking(b *pgx.Batch, sub *subscription) {
	b.Queue(`UPDATE river_job SET scheduled_at = now()
		WHERE queue = $1 AND state IN ('scheduled', 'retryable') AND scheduled_at > now() AND args->>'s' = $2`, queueName, sub.id.String())
}

// fail disables a subscription, and tells its agency.
func (s *Service) fail(ctx context.Context, sub *subscription) error {
	return pg.InTxRetry(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE webhook_subscriptions SET state = $3, update_time = now(), revision = revision + 1
			WHERE agency_id = $1 AND subscription_id = $2 AND state = $4`, sub.agency, [16]byte(sub.id),
			int16(irtv1.SubscriptionState_SUBSCRIPTION_STATE_FAILED), int16(irtv1.SubscriptionState_SUBSCRIPTION_STATE_ENABLED))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return events.Append(ctx, tx, []events.Event{{
			Kind: irtv1.EventKind_EVENT_KIND_SUBSCRIPTION_FAILED, Agency: sub.agency, Resource: sub.name(),
			Agencies: []string{sub.agency}, Time: time.Now(),
		}})
	})
}

// bury makes a dead letter of a job.
func (s *Service) bury(ctx context.Context, job *river.Job[deliverArgs], r result) error {
	attempts := job.Attempt
	if r == (result{}) { // this one was no attempt
		attempts--
	}
	_, err := s.pool.Exec(ctx, `INSERT INTO webhook_dead_letters
			(subscription_id, position, day, event_id, kind, attempts, outcome, http_status, create_time)
		SELECT $1, e.position, e.day, e.event_id, e.kind, $4, $5, $6, now() FROM events e WHERE e.day = $2 AND e.position = $3
		ON CONFLICT (subscription_id, position) DO UPDATE SET attempts = excluded.attempts, outcome = excluded.outcome,
			http_status = excluded.http_status, create_time = excluded.create_time`,
		[16]byte(job.Args.Subscription), job.Args.at().Date(), job.Args.Position, attempts, int16(r.outcome), r.status) //nolint:gosec // outcomes are few
	if err != nil {
		return again(err)
	}
	return river.JobCancel(errNotTaken)
}

func (a deliverArgs) at() events.Position { return events.Position{Day: a.Day, N: a.Position} }

// name is the subscription's resource name.
func (sub *subscription) name() string {
	return agencies.Name(sub.agency) + "/subscriptions/" + sub.id.String()
}

// enter says whether one more message may be sent to a subscription now.
func (s *Service) enter(id uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending[id] >= atOnceEach {
		return false
	}
	s.sending[id]++
	return true
}

func (s *Service) leave(id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending[id]--; s.sending[id] == 0 {
		delete(s.sending, id)
	}
}

// secrets are those that signatures are made with now.
func (s *Service) secrets(sub *subscription) ([][]byte, error) {
	secret, err := s.key.open(sub.id, sub.secret)
	if err != nil {
		return nil, fmt.Errorf("webhooks: opening a secret: %w", err)
	}
	all := [][]byte{secret}
	if len(sub.previous) > 0 && time.Now().Before(sub.previousUntil) {
		if secret, err = s.key.open(sub.id, sub.previous); err != nil {
			return nil, fmt.Errorf("webhooks: opening a secret: %w", err)
		}
		all = append(all, secret)
	}
	return all, nil
}
