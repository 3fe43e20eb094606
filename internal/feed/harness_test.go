package feed_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/events"
	"irthub/internal/feed"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// hub is the service as one process has it, over gRPC with every interceptor.
type hub struct {
	t         testing.TB
	pool      *pgxpool.Pool
	service   *feed.Service
	directory *agencies.Directory
	key       *identity.SigningKey
	conn      *grpc.ClientConn
	irtv1.EventServiceClient
}

func newHub(t testing.TB) *hub {
	t.Helper()
	url := pgtest.URL(t)
	pool := pgtest.Open(t, url)
	var all []*irtv1.Agency
	for _, id := range []string{"school", "gp", "social", "police"} {
		all = append(all, &irtv1.Agency{Name: "agencies/" + id, DisplayName: id, Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL})
	}
	all = append(all, &irtv1.Agency{Name: "agencies/camhs", DisplayName: "CAMHS", Kind: irtv1.AgencyKind_AGENCY_KIND_HEALTH_TRUST, Sensitive: true})
	for i := range 50 {
		all = append(all, &irtv1.Agency{Name: fmt.Sprintf("agencies/charity-%d", i), DisplayName: "A charity", Kind: irtv1.AgencyKind_AGENCY_KIND_VOLUNTARY_COMMUNITY})
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, all); err != nil {
		t.Fatal(err)
	}
	return joinHub(t, pgtest.Open(t, url))
}

// joinHub is another process on the database of a hub.
func joinHub(t testing.TB, pool *pgxpool.Pool) *hub {
	t.Helper()
	h := &hub{t: t, pool: pool}
	log := slog.New(slog.DiscardHandler)
	var err error
	if h.directory, err = agencies.NewDirectory(t.Context(), pool, log); err != nil {
		t.Fatal(err)
	}
	tokens, err := rpc.LoadPageTokens(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	h.service = feed.New(t.Context(), pool, h.directory, tokens, rpc.Patience/2, log)
	sequencer := events.StartSequencer(t.Context(), pool, log, h.service.Moved)
	writer := audit.NewWriter(pool)
	if h.key, err = identity.LoadOrCreateKey(t.TempDir() + "/keys"); err != nil {
		t.Fatal(err)
	}
	auth, err := identity.NewAuthenticator(identity.Config{Own: h.key, Agencies: h.directory.Facts})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(rpc.ServerOptions(),
		grpc.ChainUnaryInterceptor(rpc.UnaryCall(log, rpc.Limits{}), auth.Unary, audit.UnaryInterceptor(writer), identity.AuthoriseUnary, rpc.UnaryValidate),
		grpc.ChainStreamInterceptor(rpc.StreamCall(log), auth.Stream, audit.StreamInterceptor(writer), identity.AuthoriseStream, rpc.StreamValidate),
	)...)
	irtv1.RegisterEventServiceServer(server, h.service)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	if h.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	h.EventServiceClient = irtv1.NewEventServiceClient(h.conn)
	t.Cleanup(func() {
		_ = h.conn.Close()
		server.Stop()
		_ = sequencer.Close(context.Background())
		h.service.Close()
		_ = writer.Close(context.Background())
		h.directory.Close()
	})
	return h
}

// as is a context for calls by an agency.
func (h *hub) as(agency string, role irtv1.Role) context.Context {
	h.t.Helper()
	token, err := h.key.Issue(identity.Claims{Agency: agency, Role: role})
	if err != nil {
		h.t.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(h.t.Context(), "authorization", "Bearer "+token, "irt-purpose", "SAFEGUARDING")
}

func (h *hub) system(agency string) context.Context {
	h.t.Helper()
	return h.as(agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
}

func (h *hub) manager() context.Context {
	h.t.Helper()
	return h.as("social", irtv1.Role_ROLE_DATA_MANAGER)
}

func (h *hub) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.pool.Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatal(err)
	}
}

// child makes a child of which agencies hold records.
func (h *hub) child(holders ...string) uuid.UUID {
	h.t.Helper()
	child := uuid.Must(uuid.NewV7())
	h.exec(`INSERT INTO children (child_id, state, create_time, known_from, revision) VALUES ($1, 1, now(), now(), 1)`, [16]byte(child))
	for _, agency := range holders {
		h.exec(`INSERT INTO child_records (record_id, agency_id, local_id, child_id, state, create_time, known_from, revision)
			VALUES ($4, $1, $2, $3, 1, now(), now(), 1)`, agency, child.String(), [16]byte(child), [16]byte(standard.RecordID(agency, child.String())))
	}
	return child
}

// involve records that an agency works with a child, until a day if there is one.
func (h *hub) involve(child uuid.UUID, agency string, until any) {
	h.t.Helper()
	h.exec(`INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, role, start_date, end_date, create_time, known_from, revision)
		VALUES ($1, $4, $2, $5, 'NURSE', '2020-01-01', $3::date, now(), now(), 1)`, [16]byte(child), agency, until,
		[16]byte(standard.InvolvementID(agency, child.String())), child.String())
}

// happen commits events, as a change would.
func (h *hub) happen(all ...events.Event) {
	h.t.Helper()
	for i := range all {
		if all[i].Time.IsZero() {
			all[i].Time = time.Now()
		}
		if all[i].Kind == 0 {
			all[i].Kind = irtv1.EventKind_EVENT_KIND_CHILD_UPDATED
		}
	}
	err := pg.InTx(h.t.Context(), h.pool, func(tx pgx.Tx) error { return events.Append(h.t.Context(), tx, all) })
	if err != nil {
		h.t.Fatal(err)
	}
}

// watching is a stream with what has come of it.
type watching struct {
	t      testing.TB
	stream irtv1.EventService_WatchClient
	cursor string
	got    []*irtv1.Event
}

// watch begins a stream, and waits until it has begun.
func (h *hub) watch(ctx context.Context, req *irtv1.WatchRequest) *watching {
	h.t.Helper()
	stream, err := h.Watch(ctx, req)
	if err != nil {
		h.t.Fatal(err)
	}
	w := &watching{t: h.t, stream: stream}
	if err := w.receive(); err != nil {
		h.t.Fatal(err)
	}
	if w.cursor == "" || len(w.got) > 0 {
		h.t.Fatalf("a stream began with %d events and the cursor %q", len(w.got), w.cursor)
	}
	return w
}

func (w *watching) receive() error {
	answer, err := w.stream.Recv()
	if err != nil {
		return err
	}
	w.cursor = answer.GetCursor()
	w.got = append(w.got, answer.GetEvents()...)
	return nil
}

// until receives until there are n events, and returns all that came.
func (w *watching) until(n int) []*irtv1.Event {
	w.t.Helper()
	for len(w.got) < n {
		if err := w.receive(); err != nil {
			w.t.Fatalf("after %d of %d events: %v", len(w.got), n, err)
		}
	}
	return w.got
}

// told are events in short, for comparing: the resource's last part, or the kind,
// and the agency where it is told.
func told(all []*irtv1.Event) (texts []string) {
	for _, e := range all {
		text := strings.TrimPrefix(e.GetKind().String(), "EVENT_KIND_CHILD_")
		if e.GetAgency() != "" {
			text += " by " + strings.TrimPrefix(e.GetAgency(), "agencies/")
		}
		if e.GetResource() != "" {
			text += " of " + strings.TrimPrefix(e.GetResource(), "agencies/")
		}
		texts = append(texts, text)
	}
	return texts
}
