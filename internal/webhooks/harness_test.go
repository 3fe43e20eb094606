package webhooks_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
	"irthub/internal/webhooks"
)

// hub is the service as one process has it.
type hub struct {
	t    testing.TB
	url  string
	data string
	pool *pgxpool.Pool
	*webhooks.Service
}

// newHub makes a hub whose service is not started yet.
func newHub(t testing.TB, o webhooks.Options) *hub {
	t.Helper()
	url := pgtest.URL(t)
	pool := pgtest.Open(t, url)
	all := []*irtv1.Agency{
		{Name: "agencies/school", DisplayName: "School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
		{Name: "agencies/gp", DisplayName: "GP", Kind: irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE},
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, all); err != nil {
		t.Fatal(err)
	}
	return (&hub{t: t, url: url, data: t.TempDir()}).join(t, o)
}

// join is another process of the hub.
func (h *hub) join(t testing.TB, o webhooks.Options) *hub {
	t.Helper()
	h = &hub{t: t, url: h.url, data: h.data, pool: pgtest.Open(t, h.url)}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	directory, err := agencies.NewDirectory(t.Context(), h.pool, log)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := rpc.LoadPageTokens(t.Context(), h.pool)
	if err != nil {
		t.Fatal(err)
	}
	key, err := webhooks.LoadOrCreateKey(h.data)
	if err != nil {
		t.Fatal(err)
	}
	writer := audit.NewWriter(h.pool)
	if h.Service, err = webhooks.New(h.pool, directory, tokens, writer, key, o, log); err != nil {
		t.Fatal(err)
	}
	sequencer := events.StartSequencer(t.Context(), h.pool, log, h.Moved)
	t.Cleanup(func() {
		ctx := context.Background()
		_ = sequencer.Close(ctx)
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
		_ = writer.Close(ctx)
		directory.Close()
	})
	return h
}

// start starts the service.
func (h *hub) start() *hub {
	h.t.Helper()
	if err := h.Start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return h
}

func as(ctx context.Context, agency string) context.Context {
	return identity.NewContext(ctx, identity.Caller{
		Agency: agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING,
	})
}

func (h *hub) school() context.Context { return as(h.t.Context(), "school") }

func (h *hub) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.pool.Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatal(err)
	}
}

// child makes a child of which an agency holds a record.
func (h *hub) child(holder string) uuid.UUID {
	h.t.Helper()
	child := uuid.Must(uuid.NewV7())
	h.exec(`INSERT INTO children (child_id, state, create_time, known_from, revision) VALUES ($1, 1, now(), now(), 1)`, [16]byte(child))
	h.exec(`INSERT INTO child_records (record_id, agency_id, local_id, child_id, state, create_time, known_from, revision)
		VALUES (gen_random_uuid(), $1, $2, $3, 1, now(), now(), 1)`, holder, child.String(), [16]byte(child))
	return child
}

// happen commits changes of a child.
func (h *hub) happen(child uuid.UUID, n int) {
	h.t.Helper()
	all := make([]events.Event, n)
	for i := range all {
		all[i] = events.Event{
			Kind: irtv1.EventKind_EVENT_KIND_CHILD_UPDATED, Child: child, Agency: "gp", Time: time.Now(),
		}
	}
	err := pg.InTx(h.t.Context(), h.pool, func(tx pgx.Tx) error { return events.Append(h.t.Context(), tx, all) })
	if err != nil {
		h.t.Fatal(err)
	}
}

// subscribe makes a subscription of the school's.
func (h *hub) subscribe(url string) *irtv1.Subscription {
	h.t.Helper()
	sub, err := h.CreateSubscription(h.school(), &irtv1.CreateSubscriptionRequest{
		Parent: "agencies/school", Subscription: &irtv1.Subscription{Url: url},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return sub
}

func (h *hub) get(name string) *irtv1.Subscription {
	h.t.Helper()
	sub, err := h.GetSubscription(h.school(), &irtv1.GetSubscriptionRequest{Name: name})
	if err != nil {
		h.t.Fatal(err)
	}
	return sub
}

func (h *hub) deadLetters(name string) []*irtv1.DeadLetter {
	h.t.Helper()
	list, err := h.ListDeadLetters(h.school(), &irtv1.ListDeadLettersRequest{Parent: name})
	if err != nil {
		h.t.Fatal(err)
	}
	return list.GetDeadLetters()
}

func (h *hub) deliveries(name string) []*irtv1.Delivery {
	h.t.Helper()
	list, err := h.ListDeliveries(h.school(), &irtv1.ListDeliveriesRequest{Parent: name})
	if err != nil {
		h.t.Fatal(err)
	}
	return list.GetDeliveries()
}

// eventually waits for what other goroutines do, a minute at most.
func (h *hub) eventually(what string, done func() bool) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if time.Now().After(end) {
			h.t.Fatalf("not within a minute: %s", what)
		}
	}
}

// target is an address that takes messages.
type target struct {
	*httptest.Server
	options webhooks.Options // those that let a hub reach it

	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request)
	got    []received
}

// received is a message as it came.
type received struct {
	header http.Header
	body   []byte
	event  struct {
		SpecVersion, ID, Source, Type, Subject, Time, DataContentType string
		Data                                                          struct{ Name, Kind, Child string }
	}
}

func newTarget(t testing.TB) *target {
	t.Helper()
	g := &target{}
	g.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := received{header: r.Header.Clone()}
		m.body, _ = io.ReadAll(r.Body)
		if err := json.Unmarshal(m.body, &m.event); err != nil {
			t.Errorf("%v: %s", err, m.body)
		}
		g.mu.Lock()
		g.got = append(g.got, m)
		answer := g.answer
		g.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(g.Close)
	g.options = webhooks.Options{AllowPrivate: true, RootCAs: x509.NewCertPool()}
	g.options.RootCAs.AddCert(g.Certificate())
	return g
}

// answers has every message answered so from now on.
func (g *target) answers(answer func(w http.ResponseWriter, r *http.Request)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = answer
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (g *target) received() []received {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got
}
