package audit

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/identity"
)

// insertSQL inserts a batch of entries, and queues them for the tree, in one
// statement. It has no ON CONFLICT, with which PostgreSQL inserts each row
// provisionally and takes a third longer: see isThere.
const insertSQL = `
WITH inserted AS (INSERT INTO audit_entries (entry_id, entry_time, agency_id, practitioner_id, role, on_behalf_of, purpose, reason,
    method, decision, status_code, children, query, returned, withheld, client_address, request_id)
SELECT entry_id, entry_time, agency_id, practitioner_id, role, on_behalf_of, purpose, reason,
    method, decision, status_code, children::uuid[], query::json, returned::text[], withheld::text[], client_address, request_id
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::integer[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[])
AS e (entry_id, entry_time, agency_id, practitioner_id, role, on_behalf_of, purpose, reason,
    method, decision, status_code, children, query, returned, withheld, client_address, request_id))
INSERT INTO audit_queue (entry_id) SELECT unnest($1::uuid[])`

// columns are the entries of a batch, column by column.
type columns struct {
	ids                                                       [][16]byte // not uuid.UUID, which pgx would write as text
	times                                                     []time.Time
	agencies, practitioners, roles, onBehalfOf                []string
	purposes, reasons, methods, decisions                     []string
	codes                                                     []int32
	children, returned, withheld, clientAddresses, requestIDs []string
	queries                                                   []*string
}

func (c *columns) add(e *Entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.ids = append(c.ids, e.id)
	c.times = append(c.times, e.time)
	c.agencies = append(c.agencies, e.caller.Agency)
	c.practitioners = append(c.practitioners, e.caller.Practitioner)
	c.roles = append(c.roles, identity.RoleText(e.caller.Role))
	c.onBehalfOf = append(c.onBehalfOf, e.caller.OnBehalfOf)
	c.purposes = append(c.purposes, identity.PurposeText(e.caller.Purpose))
	c.reasons = append(c.reasons, e.caller.Reason)
	c.methods = append(c.methods, e.method)
	c.decisions = append(c.decisions, string(e.decision))
	c.codes = append(c.codes, int32(e.code)) //nolint:gosec // 0 to 16
	c.children = append(c.children, uuidArray(e.children))
	c.queries = append(c.queries, textOrNull(e.query))
	c.returned = append(c.returned, arrayLiteral(e.returned))
	c.withheld = append(c.withheld, arrayLiteral(e.withheld))
	c.clientAddresses = append(c.clientAddresses, e.caller.Address)
	c.requestIDs = append(c.requestIDs, e.requestID)
}

func (c *columns) args() []any {
	return []any{
		c.ids, c.times, c.agencies, c.practitioners, c.roles, c.onBehalfOf, c.purposes, c.reasons,
		c.methods, c.decisions, c.codes, c.children, c.queries, c.returned, c.withheld, c.clientAddresses, c.requestIDs,
	}
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func uuidArray(ids []uuid.UUID) string {
	if len(ids) == 0 {
		return "{}"
	}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}

// execer is a pool, a connection or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Insert writes entries in the transaction of what they are about, so that neither
// can be without the other. After the commit their Recorded must be called.
func Insert(ctx context.Context, tx pgx.Tx, entries []*Entry) error {
	return insert(ctx, tx, entries)
}

func insert(ctx context.Context, db execer, entries []*Entry) error {
	var c columns
	for _, e := range entries {
		if e != nil {
			c.add(e)
		}
	}
	if len(c.ids) == 0 {
		return nil
	}
	if _, err := db.Exec(ctx, insertSQL, c.args()...); err != nil {
		return fmt.Errorf("audit: inserting %d entries: %w", len(c.ids), err)
	}
	return nil
}

// try does all that recording an entry takes, and takes it back but for the commit.
// Constraints that would be looked at with the commit are looked at before.
func try(ctx context.Context, pool *pgxpool.Pool) error {
	var c columns
	c.add(New(ctx, "/irt.v1.AuditService/Check"))
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(`SAVEPOINT before`)
		b.Queue(`SET CONSTRAINTS ALL IMMEDIATE`)
		b.Queue(insertSQL, c.args()...)
		b.Queue(`ROLLBACK TO SAVEPOINT before`)
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return fmt.Errorf("audit: trying to insert an entry: %w", err)
	}
	return nil
}
