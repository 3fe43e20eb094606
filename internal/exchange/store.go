package exchange

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
)

// importColumns are read by scanImport, in its order. An import whose runner has
// gone is interrupted, whether or not that has been stored yet.
const importColumns = `import_id, agency_id, format, validate_only,
	CASE WHEN state = 1 AND lease_until < now() THEN 4 ELSE state END, rows, accepted, unchanged,
	rejected, queries, encoding, ignored_columns, create_time, update_time, acknowledged_row, acknowledged_bytes,
	size, run_time, run_rows, rule_counts, failure, sha256, CASE WHEN kept_until > now() THEN kept_until END`

func insertImport(ctx context.Context, pool *pgxpool.Pool, j *job) error {
	_, err := pool.Exec(ctx,
		`INSERT INTO imports (import_id, agency_id, format, validate_only, state, create_time, update_time,
			runner, lease_until, size, run_time)
		VALUES (@import_id, @agency_id, @format, @validate_only, @state, @create_time, @update_time,
			@runner, now() + @lease::interval, @size, @create_time)`,
		pgx.NamedArgs{
			"import_id": j.id, "agency_id": j.agency,
			"format": int16(j.state.GetFormat()), "validate_only": j.state.GetValidateOnly(), //nolint:gosec // defined values only
			"state":       int16(j.state.GetState()), //nolint:gosec // defined values only
			"create_time": j.state.GetCreateTime().AsTime(), "update_time": j.state.GetUpdateTime().AsTime(),
			"runner": j.runner, "lease": leaseTime, "size": j.state.GetSize(),
		})
	if err != nil {
		return fmt.Errorf("exchange: storing an import: %w", err)
	}
	return nil
}

// updateImport stores how far a run has come, and says whether it is to be
// cancelled; errTakenUp where the import is no longer this run's.
func updateImport(ctx context.Context, tx pgx.Tx, j *job) (cancelled bool, err error) {
	counts, err := json.Marshal(storedCounts(j.rules))
	if err != nil {
		return false, fmt.Errorf("exchange: storing what was counted: %w", err)
	}
	sum, _ := hex.DecodeString(j.state.GetSha256())
	err = tx.QueryRow(ctx,
		`UPDATE imports SET state = @state::smallint, rows = @rows, accepted = @accepted, unchanged = @unchanged,
			rejected = @rejected, queries = @queries, encoding = @encoding,
			ignored_columns = @ignored_columns, update_time = @update_time, header = @header,
			acknowledged_row = @acknowledged_row, acknowledged_bytes = @acknowledged_bytes, prefix_digest = @prefix_digest,
			rule_counts = @rule_counts, failure = @failure, sha256 = @sha256, kept_bytes = @kept_bytes::bigint,
			kept_until = CASE WHEN @kept_bytes::bigint > 0 THEN now() + @keep::interval END,
			lease_until = CASE WHEN @state::smallint = 1 THEN now() + @lease::interval END
		WHERE import_id = @import_id AND runner = @runner AND state = 1
		RETURNING cancel_requested`,
		pgx.NamedArgs{
			"import_id": j.id, "runner": j.runner, "state": int16(j.state.GetState()), //nolint:gosec // defined values only
			"rows": j.state.GetRows(), "accepted": j.state.GetAccepted(), "unchanged": j.state.GetUnchanged(),
			"rejected": j.state.GetRejected(), "queries": j.state.GetQueries(), "encoding": j.state.GetEncoding(),
			"ignored_columns": notNull(j.state.GetIgnoredColumns()), "update_time": j.state.GetUpdateTime().AsTime(),
			"header": notNull(j.header), "acknowledged_row": j.state.GetAcknowledgedRow(),
			"acknowledged_bytes": j.state.GetAcknowledgedBytes(), "prefix_digest": j.acknowledged[:],
			"rule_counts": counts, "failure": j.state.GetFailure(), "sha256": sum,
			"kept_bytes": j.keptSize, "keep": keepRows, "lease": leaseTime,
		}).Scan(&cancelled)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, errTakenUp
	}
	if err != nil {
		return false, fmt.Errorf("exchange: updating an import: %w", err)
	}
	return cancelled, nil
}

func notNull(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

// storedCount is a rule's count as it is stored.
type storedCount struct {
	Rule  string          `json:"r"`
	Grade irtv1.RuleGrade `json:"g"`
	Count int32           `json:"n"`
}

func storedCounts(rules map[ruleCount]int32) []storedCount {
	all := make([]storedCount, 0, len(rules))
	for r, n := range rules {
		all = append(all, storedCount{r.rule, r.grade, n})
	}
	return all
}

// takeUp makes a run the one of an import that was interrupted, or whose runner has
// gone, and gives what it goes on from; ok is false for every other.
func takeUp(ctx context.Context, pool *pgxpool.Pool, j *job) (ok bool, err error) {
	var sum []byte
	err = pool.QueryRow(ctx,
		`UPDATE imports SET state = 1, runner = @runner, lease_until = now() + @lease::interval,
			run_time = now(), run_rows = rows, size = CASE WHEN @size::bigint > 0 THEN @size::bigint ELSE size END
		WHERE import_id = @import_id AND agency_id = @agency_id
			AND (state = 4 OR state = 1 AND lease_until < now()) AND NOT cancel_requested
		RETURNING coalesce(prefix_digest, ''), kept_bytes, header,
			(SELECT coalesce(max(sequence), 0) FROM import_rejects r WHERE r.import_id = imports.import_id)`,
		pgx.NamedArgs{
			"import_id": j.id, "agency_id": j.agency, "runner": j.runner, "lease": leaseTime, "size": j.state.GetSize(),
		}).Scan(&sum, &j.keptSize, &j.header, &j.stored)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("exchange: taking an import up: %w", err)
	}
	copy(j.acknowledged[:], sum)
	return true, nil
}

// renewLease keeps the lease of a run; errTakenUp where it is no longer this run's.
func renewLease(ctx context.Context, pool *pgxpool.Pool, j *job) (cancelled bool, err error) {
	err = pool.QueryRow(ctx,
		`UPDATE imports SET lease_until = now() + @lease::interval
		WHERE import_id = @import_id AND runner = @runner AND state = 1 RETURNING cancel_requested`,
		pgx.NamedArgs{"import_id": j.id, "runner": j.runner, "lease": leaseTime}).Scan(&cancelled)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, errTakenUp
	}
	return cancelled, err
}

// cancelImport asks the runner of an import to stop, or cancels one that has none.
func cancelImport(ctx context.Context, pool *pgxpool.Pool, agency string, id uuid.UUID) error {
	_, err := pool.Exec(ctx,
		`UPDATE imports SET cancel_requested = true, update_time = now(),
			state = CASE WHEN state = 4 OR lease_until < now() THEN 5 ELSE state END
		WHERE import_id = @import_id AND agency_id = @agency_id AND state IN (1, 4)`,
		pgx.NamedArgs{"import_id": id, "agency_id": agency})
	if err != nil {
		return fmt.Errorf("exchange: cancelling an import: %w", err)
	}
	return nil
}

// interruptAbandoned marks the imports whose runner has gone.
func interruptAbandoned(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `UPDATE imports SET state = CASE WHEN cancel_requested THEN 5 ELSE 4 END, lease_until = NULL
		WHERE state = 1 AND lease_until < now()`)
	if err != nil {
		return fmt.Errorf("exchange: marking abandoned imports: %w", err)
	}
	return nil
}

func getImport(ctx context.Context, pool *pgxpool.Pool, agency string, id uuid.UUID) (*irtv1.Import, bool, error) {
	found, err := queryImports(ctx, pool,
		`SELECT `+importColumns+` FROM imports WHERE import_id = @import_id AND agency_id = @agency_id`,
		pgx.NamedArgs{"import_id": id, "agency_id": agency})
	if err != nil || len(found) == 0 {
		return nil, false, err
	}
	return found[0].message, true, nil
}

// listImports lists those of an agency from before a place in the list, the newest
// first.
func listImports(ctx context.Context, pool *pgxpool.Pool, agency string, before uuid.UUID, limit int) ([]listedImport, error) {
	return queryImports(ctx, pool,
		`SELECT `+importColumns+` FROM imports WHERE agency_id = @agency_id AND import_id < @before
		ORDER BY import_id DESC LIMIT @limit`,
		pgx.NamedArgs{"agency_id": agency, "before": before, "limit": limit})
}

type listedImport struct {
	id      uuid.UUID
	message *irtv1.Import
}

func queryImports(ctx context.Context, pool *pgxpool.Pool, sql string, args pgx.NamedArgs) ([]listedImport, error) {
	rows, err := pool.Query(ctx, sql, args)
	if err != nil {
		return nil, fmt.Errorf("exchange: reading imports: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanImport)
	if err != nil {
		return nil, fmt.Errorf("exchange: reading imports: %w", err)
	}
	return found, nil
}

func scanImport(row pgx.CollectableRow) (listedImport, error) {
	var (
		m                irtv1.Import
		id               uuid.UUID
		agency           string
		format, state    int16
		created, updated time.Time
		begun, keptUntil *time.Time
		runRows          int32
		counts           []storedCount
		sum              []byte
	)
	err := row.Scan(&id, &agency, &format, &m.ValidateOnly, &state, &m.Rows, &m.Accepted, &m.Unchanged,
		&m.Rejected, &m.Queries, &m.Encoding, &m.IgnoredColumns, &created, &updated, &m.AcknowledgedRow, &m.AcknowledgedBytes,
		&m.Size, &begun, &runRows, &counts, &m.Failure, &sum, &keptUntil)
	if err != nil {
		return listedImport{}, err
	}
	m.Name = importName(agency, id)
	m.Format, m.State = irtv1.ImportFormat(format), irtv1.ImportState(state)
	m.CreateTime, m.UpdateTime = timestamppb.New(created), timestamppb.New(updated)
	m.Sha256 = hex.EncodeToString(sum)
	for _, c := range counts {
		m.RuleCounts = append(m.RuleCounts, newRuleCount(c.Rule, c.Grade, c.Count))
	}
	sortCounts(m.GetRuleCounts())
	if keptUntil != nil {
		m.RejectedRowsExpireTime = timestamppb.New(*keptUntil)
	}
	if begun != nil {
		addSpeed(&m, updated.Sub(*begun), runRows)
	}
	return listedImport{id, &m}, nil
}

// addSpeed tells how fast an import is and, while it runs, when it would be done:
// from how much of the file the rows so far took up.
func addSpeed(m *irtv1.Import, running time.Duration, before int32) {
	rows := m.GetRows() - before
	if running <= 0 || rows <= 0 {
		return
	}
	m.RowsPerSecond = float64(rows) / running.Seconds()
	left := m.GetSize() - m.GetAcknowledgedBytes()
	if m.GetState() != irtv1.ImportState_IMPORT_STATE_RUNNING || m.GetSize() == 0 || m.GetAcknowledgedBytes() == 0 || left < 0 {
		return
	}
	perRow := float64(m.GetAcknowledgedBytes()) / float64(m.GetRows())
	seconds := float64(left) / perRow / m.GetRowsPerSecond()
	m.EstimatedEndTime = timestamppb.New(m.GetUpdateTime().AsTime().Add(time.Duration(seconds * float64(time.Second))))
}
