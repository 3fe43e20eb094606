package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/accesses"
	"irthub/internal/accesslog"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/batch"
	"irthub/internal/children"
	"irthub/internal/concerns"
	"irthub/internal/consent"
	"irthub/internal/contact"
	"irthub/internal/dictionary"
	"irthub/internal/emergency"
	"irthub/internal/events"
	"irthub/internal/exchange"
	"irthub/internal/feed"
	"irthub/internal/gateway"
	"irthub/internal/idempotency"
	"irthub/internal/identity"
	"irthub/internal/involvement"
	"irthub/internal/leads"
	"irthub/internal/limits"
	"irthub/internal/plans"
	"irthub/internal/quality"
	"irthub/internal/redact"
	"irthub/internal/referrals"
	"irthub/internal/retention"
	"irthub/internal/revocations"
	"irthub/internal/rpc"
	"irthub/internal/standard"
	"irthub/internal/telemetry"
	"irthub/internal/timeline"
	"irthub/internal/webhooks"
)

// Hub is a hub's services, wired together, and the interceptors that every call
// of them runs through, whichever door it came in by.
type Hub struct {
	Database     *Database
	Directory    *agencies.Directory
	Agencies     *agencies.Service
	Children     *children.Service
	Involvements *involvement.Service
	Concerns     *concerns.Service
	Consents     *consent.Service
	Leads        *leads.Service
	Plans        *plans.Service
	Referrals    *referrals.Service
	Contacts     *contact.Service
	Timelines    *timeline.Service
	Emergencies  *emergency.Service
	Retention    *retention.Service
	Exchange     *exchange.Service
	Standard     *dictionary.Service
	Accesses     *accesses.Service
	Quality      *quality.Service
	Revocations  *revocations.Service
	Events       *feed.Service
	Limits       *limits.Service
	Webhooks     *webhooks.Service

	limiter   *limits.Limiter
	room      *rpc.Room
	audit     *audit.Writer
	keeper    *idempotency.Keeper
	sequencer *accesslog.Sequencer
	eventLog  *events.Sequencer
	daily     *retention.Daily
	sweeper   *children.Sweeper
	learner   *children.Learner
	auth      *identity.Authenticator
	metrics   *telemetry.Metrics
	tracing   *telemetry.Tracing // nil: nothing is traced
	config    Config
}

func (h *Hub) timelineSources() timeline.Sources {
	return timeline.Sources{
		Children: h.Children, Involvements: h.Involvements, Concerns: h.Concerns, Referrals: h.Referrals,
		Consents: h.Consents, Contacts: h.Contacts,
	}
}

// newHub makes the services over an open database.
func newHub(ctx context.Context, c Config, db *Database) (*Hub, error) {
	standard.Prepare()
	h := &Hub{Database: db, config: c, room: rpc.NewRoom()}
	tokens, err := rpc.LoadPageTokens(ctx, db.Pool)
	if err != nil {
		return nil, err
	}
	if h.Directory, err = agencies.NewDirectory(ctx, db.Pool, c.Log); err != nil {
		return nil, fmt.Errorf("loading the directory of agencies: %w", err)
	}
	if h.Revocations, err = revocations.New(ctx, db.Pool, tokens, c.Log); err != nil {
		h.Directory.Close()
		return nil, fmt.Errorf("loading the revocations: %w", err)
	}
	if h.limiter, err = limits.New(ctx, db.Pool, c.AccessLimits, c.Log); err != nil {
		h.Revocations.Close()
		h.Directory.Close()
		return nil, fmt.Errorf("loading the access limits: %w", err)
	}
	keys, err := accesslog.LoadOrCreateKeys(c.Data)
	if err != nil {
		h.stopFollowing(ctx)
		return nil, err
	}
	h.audit = newAuditWriter(c, db)
	if h.auth, err = h.newAuthenticator(audit.NewRejections(h.audit)); err != nil {
		h.stopFollowing(ctx)
		return nil, errors.Join(err, h.audit.Close(ctx))
	}
	if err := h.startIndex(ctx, tokens); err != nil {
		h.stopFollowing(ctx)
		return nil, errors.Join(err, h.audit.Close(ctx))
	}
	h.sequencer = accesslog.StartSequencer(ctx, db.Pool, keys, c.Log)
	h.Accesses = accesses.New(db.Pool, h.Directory, tokens, keys)
	h.Quality = quality.New(db.Pool, h.Directory, tokens)
	h.Agencies = agencies.New(db.Pool, h.Directory, tokens, h.audit)
	h.Consents = consent.New(db.Pool, h.Directory, tokens, h.audit)
	h.Emergencies = emergency.New(db.Pool, h.Directory, tokens)
	h.Retention = retention.New(db.Pool)
	h.daily = retention.StartDaily(ctx, db.Pool, c.Log)
	h.Involvements = involvement.New(db.Pool, h.Directory, tokens, h.audit)
	h.startWorkingTogether(ctx, tokens)
	h.Timelines = timeline.New(h.timelineSources(), tokens)
	h.keeper = idempotency.New(db.Pool, func(err error) {
		c.Log.Warn("answers kept for idempotency were not forgotten", "error", err)
	})
	h.Exchange = exchange.New(exchange.Options{
		Pool: db.Pool, Patience: h.config.patience(), Directory: h.Directory, Records: h.Children, Involvements: h.Involvements, Concerns: h.Concerns, Referrals: h.Referrals,
		Plans: h.Plans, Consents: h.Consents, Services: h.Agencies, Accesses: h.Accesses, Findings: h.Quality, Tokens: tokens, Log: c.Log,
	})
	h.Standard = &dictionary.Service{}
	h.Limits = limits.NewService(h.limiter, h.Directory)
	h.metrics = telemetry.New(c.Version, db.Pool, h.Children.Pools(), h.pipelines)
	return h, nil
}

// startWorkingTogether makes what agencies reach each other by, over the involvements.
func (h *Hub) startWorkingTogether(ctx context.Context, tokens *rpc.PageTokens) {
	pool := h.Database.Pool
	h.Concerns = concerns.New(pool, h.Directory, tokens, h.audit, concerns.Options{Window: h.config.ConcernWindow})
	h.Children.Follow(concerns.Follow(h.config.ConcernWindow))
	h.Contacts = contact.New(pool, h.Directory, tokens)
	h.Plans = plans.New(pool, h.Directory, tokens, h.audit)
	h.Leads = leads.New(pool, h.Directory, tokens, h.Involvements)
	h.Referrals = referrals.New(pool, h.Directory, tokens, h.audit, h.Involvements.Involve)
	h.sweeper = children.StartSweeper(ctx, pool, h.config.Log, contact.Sweep, concerns.Sweep, referrals.Sweep)
}

// startIndex starts the index, with what it has learnt of names, and what tells of
// its changes.
func (h *Hub) startIndex(ctx context.Context, tokens *rpc.PageTokens) (err error) {
	h.Children = children.New(h.Database.Pool, h.Directory, tokens, h.audit)
	if h.config.MatchModel != nil {
		if err := h.Children.UseModel(h.config.MatchModel); err != nil {
			return errors.Join(err, h.Children.Close(ctx))
		}
	}
	if h.learner, err = h.Children.StartLearning(ctx, h.config.Log); err != nil {
		return errors.Join(err, h.Children.Close(ctx))
	}
	return h.startEvents(ctx, tokens)
}

// startEvents starts what tells of changes, by streams and by webhooks.
func (h *Hub) startEvents(ctx context.Context, tokens *rpc.PageTokens) error {
	key, err := webhooks.LoadOrCreateKey(h.config.Data)
	if err != nil {
		return err
	}
	pool, log := h.Database.Pool, h.config.Log
	h.Webhooks, err = webhooks.New(pool, h.Directory, tokens, h.audit, key, h.config.Webhooks, log)
	if err != nil {
		return err
	}
	if err := h.Webhooks.Start(ctx); err != nil {
		return err
	}
	h.Events = feed.New(ctx, pool, h.Directory, tokens, h.config.patience()/2, log)
	h.eventLog = events.StartSequencer(ctx, pool, log, func() {
		h.Events.Moved()
		h.Webhooks.Moved()
	})
	return nil
}

// pipelines are what the hub's batchers and sweeps have done.
func (h *Hub) pipelines() []batch.Stats {
	return slices.Concat(h.Children.Pipelines(), h.Involvements.Pipelines(), h.Concerns.Pipelines(), h.Referrals.Pipelines(),
		h.Plans.Pipelines(), h.Consents.Pipelines(), h.Contacts.Pipelines(), h.audit.Pipelines(), h.sweeper.Pipelines())
}

// register registers every service. Its one caller each are the gRPC server and
// the gateway's connection: what is listed here is in both.
func (h *Hub) register(r grpc.ServiceRegistrar) {
	irtv1.RegisterAgencyServiceServer(r, h.Agencies)
	irtv1.RegisterAuditServiceServer(r, h.Accesses)
	irtv1.RegisterChildServiceServer(r, h.Children)
	irtv1.RegisterConcernServiceServer(r, h.Concerns)
	irtv1.RegisterConsentServiceServer(r, h.Consents)
	irtv1.RegisterContactServiceServer(r, h.Contacts)
	irtv1.RegisterEmergencyAccessServiceServer(r, h.Emergencies)
	irtv1.RegisterEventServiceServer(r, h.Events)
	irtv1.RegisterExportServiceServer(r, h.Exchange)
	irtv1.RegisterImportServiceServer(r, h.Exchange)
	irtv1.RegisterInvolvementServiceServer(r, h.Involvements)
	irtv1.RegisterLeadNominationServiceServer(r, h.Leads)
	irtv1.RegisterLimitServiceServer(r, h.Limits)
	irtv1.RegisterMatchServiceServer(r, h.Children)
	irtv1.RegisterPlanServiceServer(r, h.Plans)
	irtv1.RegisterQualityServiceServer(r, h.Quality)
	irtv1.RegisterReferralServiceServer(r, h.Referrals)
	irtv1.RegisterRevocationServiceServer(r, h.Revocations)
	irtv1.RegisterRetentionServiceServer(r, h.Retention)
	irtv1.RegisterShieldServiceServer(r, h.Consents)
	irtv1.RegisterStandardServiceServer(r, h.Standard)
	irtv1.RegisterSubscriptionServiceServer(r, h.Webhooks)
	irtv1.RegisterTimelineServiceServer(r, h.Timelines)
}

// readyTimeout bounds how long a hub that is not ready takes to say so.
const readyTimeout = 4 * time.Second

// ready answers whether the hub can do its work now: its database answers, and the
// access log takes entries, without which nothing is disclosed.
func (h *Hub) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := h.Database.ready(ctx); err != nil {
		return err
	}
	return h.audit.Check(ctx)
}

// unary and stream are the interceptors, outermost first; package rpc says why
// in this order.
func (h *Hub) unary() []grpc.UnaryServerInterceptor {
	outermost := []grpc.UnaryServerInterceptor{h.metrics.Unary}
	if h.tracing != nil {
		outermost = append(outermost, h.tracing.Unary)
	}
	return append(outermost,
		rpc.UnaryCall(h.config.Log, rpc.Limits{}),
		h.auth.Unary,
		audit.UnaryInterceptor(h.audit),
		identity.AuthoriseUnary,
		h.keeper.Unary,
		rpc.UnaryValidate,
		emergency.Unary(h.Database.Pool),
		plans.Unary(h.Database.Pool),
		redact.Unary,
		h.limiter.Unary,
	)
}

func (h *Hub) stream() []grpc.StreamServerInterceptor {
	outermost := []grpc.StreamServerInterceptor{h.metrics.Stream}
	if h.tracing != nil {
		outermost = append(outermost, h.tracing.Stream)
	}
	return append(outermost,
		rpc.StreamCall(h.config.Log),
		rpc.StreamPatience(h.config.patience(), irtv1.EventService_Watch_FullMethodName),
		h.auth.Stream,
		audit.StreamInterceptor(h.audit),
		identity.AuthoriseStream,
		h.room.Stream(irtv1.EventService_Watch_FullMethodName),
		rpc.StreamValidate,
		redact.Stream,
		h.limiter.Stream,
	)
}

// Conn is a connection to the hub's services inside this process, through every
// interceptor.
func (h *Hub) Conn() *gateway.Conn {
	conn := gateway.NewConn(h.unary(), h.stream())
	h.register(conn)
	return conn
}

func newAuditWriter(c Config, db *Database) *audit.Writer {
	if c.AuditEach {
		return audit.NewWriterOfEach(db.Pool)
	}
	return audit.NewWriter(db.Pool)
}

// close writes what was accepted, the access log and its tree last, and lets go of
// everything but the database.
func (h *Hub) close(ctx context.Context) error {
	h.Exchange.Close()
	h.keeper.Close()
	h.sweeper.Close()
	h.learner.Close()
	err := errors.Join(h.daily.Close(ctx), h.Children.Close(ctx), h.Concerns.Close(ctx), h.Referrals.Close(ctx), h.Plans.Close(ctx), h.Involvements.Close(ctx),
		h.Consents.Close(ctx), h.Contacts.Close(ctx))
	err = errors.Join(err, h.eventLog.Close(ctx))
	h.Events.Close()
	err = errors.Join(err, h.Webhooks.Close(ctx), h.audit.Close(ctx))
	err = errors.Join(err, h.sequencer.Close(ctx))
	h.stopFollowing(ctx)
	return err
}

// stopFollowing ends what keeps parts of the database in memory.
func (h *Hub) stopFollowing(ctx context.Context) {
	h.limiter.Close(ctx)
	h.Revocations.Close()
	h.Directory.Close()
}

// newAuthenticator believes the configured issuers or, without any, the hub's own
// key, and the client certificates of the directory's agencies.
func (h *Hub) newAuthenticator(rejections *audit.Rejections) (*identity.Authenticator, error) {
	i := identity.Config{
		Issuers: h.config.Issuers, Agencies: h.Directory.Facts, Left: h.Directory.Left,
		CertificateAgency: h.Directory.CertificateAgency, Revoked: h.Revocations.Revoked,
		Rejected: rejections.Record, Registered: h.Directory.Registered,
	}
	if len(i.Issuers) == 0 {
		key, err := identity.LoadOrCreateKey(h.config.Data)
		if err != nil {
			return nil, err
		}
		i.Own = key
	}
	return identity.NewAuthenticator(i)
}
