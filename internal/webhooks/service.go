// Package webhooks is irt.v1.SubscriptionService: it sends events to agencies that
// hold no stream open. What is to be sent waits in a queue of PostgreSQL's, River's,
// that every process of the hub works on.
package webhooks

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/rpc"
)

const (
	pageDefault = 100
	pageMost    = 1000
	// subscriptionsAtMost is how many subscriptions an agency may have.
	subscriptionsAtMost = 20
	// fetchEvery is how often each process looks for jobs: River is not told of new
	// ones, since that needs a session, which a pooler does not give.
	fetchEvery = 500 * time.Millisecond
	// rescueAfter is after how long a message that a process took, and that is still
	// neither sent nor given back, is another's: the process was killed. It is more
	// than an attempt may take.
	rescueAfter = 2 * time.Minute
)

// Options say how the service reaches the world.
type Options struct {
	// AllowPrivate lets subscriptions lead into private networks and to this machine.
	AllowPrivate bool
	// RootCAs are who certificates may be of; nil for those of the system.
	RootCAs *x509.CertPool
}

// Service is irt.v1.SubscriptionService.
type Service struct {
	irtv1.UnimplementedSubscriptionServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	facts     identity.AgencyFacts
	tokens    *rpc.PageTokens
	writer    *audit.Writer
	key       *Key
	options   Options
	client    *http.Client
	river     *river.Client[pgx.Tx]
	log       *slog.Logger

	firstRetry, longestRetry time.Duration

	kick    chan struct{}
	stop    context.CancelFunc
	stopped chan struct{}

	mu      sync.Mutex
	sending map[uuid.UUID]int // messages under way, by subscription
}

// New makes the service. Start begins to send, and Close ends that.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens, writer *audit.Writer, key *Key, o Options, log *slog.Logger) (*Service, error) {
	s := &Service{
		pool: pool, directory: directory, facts: directory.Facts, tokens: tokens, writer: writer, key: key,
		options: o, client: newClient(o), log: log, firstRetry: firstRetry, longestRetry: longestRetry,
		kick: make(chan struct{}, 1), stopped: make(chan struct{}), sending: map[uuid.UUID]int{},
	}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &worker{s: s}); err != nil {
		return nil, fmt.Errorf("webhooks: setting the queue up: %w", err)
	}
	var err error
	s.river, err = river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues: map[string]river.QueueConfig{queueName: {MaxWorkers: atOnce}}, Workers: workers, MaxAttempts: attemptsAtMost,
		RescueStuckJobsAfter: rescueAfter, PollOnly: true, FetchPollInterval: fetchEvery, Logger: slog.New(troubles{log.Handler()}),
	})
	if err != nil {
		return nil, fmt.Errorf("webhooks: setting the queue up: %w", err)
	}
	return s, nil
}

// troubles is a log of warnings and errors only.
type troubles struct{ slog.Handler }

// Enabled implements slog.Handler.
func (t troubles) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && t.Handler.Enabled(ctx, level)
}

// Start begins to send, until Close.
func (s *Service) Start(ctx context.Context) error {
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.river.Start(ctx); err != nil {
		s.stop()
		return fmt.Errorf("webhooks: starting the queue: %w", err)
	}
	go s.run(ctx)
	return nil
}

// Close waits for the messages under way, and ends. It returns when that is done or
// ctx ends.
func (s *Service) Close(ctx context.Context) error {
	if s.stop == nil {
		return nil
	}
	err := s.river.Stop(ctx)
	s.stop()
	<-s.stopped
	s.client.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("webhooks: ending the queue: %w", err)
	}
	return nil
}

// Moved tells the service that there are new events in the log. It waits for nothing.
func (s *Service) Moved() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
