package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
)

// importColumns are read by scanImport, in its order.
const importColumns = `import_id, agency_id, format, validate_only, state, rows, accepted, unchanged,
	rejected, queries, encoding, ignored_columns, create_time, update_time`

func insertImport(ctx context.Context, pool *pgxpool.Pool, j *job) error {
	_, err := pool.Exec(ctx,
		`INSERT INTO imports (import_id, agency_id, format, validate_only, state, create_time, update_time)
		VALUES (@import_id, @agency_id, @format, @validate_only, @state, @create_time, @update_time)`,
		pgx.NamedArgs{
			"import_id": j.id, "agency_id": j.agency,
			"format": int16(j.state.GetFormat()), "validate_only": j.state.GetValidateOnly(), //nolint:gosec // defined values only
			"state":       int16(j.state.GetState()), //nolint:gosec // defined values only
			"create_time": j.state.GetCreateTime().AsTime(), "update_time": j.state.GetUpdateTime().AsTime(),
		})
	if err != nil {
		return fmt.Errorf("exchange: storing an import: %w", err)
	}
	return nil
}

func updateImport(ctx context.Context, tx pgx.Tx, j *job) error {
	ignored := j.state.GetIgnoredColumns()
	if ignored == nil {
		ignored = []string{}
	}
	tag, err := tx.Exec(ctx,
		`UPDATE imports SET state = @state, rows = @rows, accepted = @accepted, unchanged = @unchanged,
			rejected = @rejected, queries = @queries, encoding = @encoding,
			ignored_columns = @ignored_columns, update_time = @update_time
		WHERE import_id = @import_id`,
		pgx.NamedArgs{
			"import_id": j.id, "state": int16(j.state.GetState()), //nolint:gosec // defined values only
			"rows": j.state.GetRows(), "accepted": j.state.GetAccepted(), "unchanged": j.state.GetUnchanged(),
			"rejected": j.state.GetRejected(), "queries": j.state.GetQueries(), "encoding": j.state.GetEncoding(),
			"ignored_columns": ignored, "update_time": j.state.GetUpdateTime().AsTime(),
		})
	if err == nil && tag.RowsAffected() != 1 {
		err = errors.New("it is not there")
	}
	if err != nil {
		return fmt.Errorf("exchange: updating an import: %w", err)
	}
	return nil
}

// insertRejects numbers the rejects from after on.
func insertRejects(ctx context.Context, tx pgx.Tx, id uuid.UUID, after int64, rejects []*irtv1.ImportReject) error {
	if len(rejects) == 0 {
		return nil
	}
	rows := make([]int32, len(rejects))
	texts := make([][]string, 4)
	for i, r := range rejects {
		rows[i] = r.GetRow()
		for n, text := range []string{r.GetColumn(), r.GetRuleId(), r.GetDescription(), r.GetAction()} {
			texts[n] = append(texts[n], text)
		}
	}
	_, err := tx.Exec(ctx,
		`INSERT INTO import_rejects (import_id, sequence, row, "column", rule_id, description, action)
		SELECT @import_id::uuid, @after::bigint + u.n, u.row, u."column", u.rule_id, u.description, u.action
		FROM unnest(@row::bigint[], @column::text[], @rule_id::text[], @description::text[], @action::text[])
			WITH ORDINALITY AS u(row, "column", rule_id, description, action, n)`,
		pgx.NamedArgs{
			"import_id": id, "after": after, "row": rows,
			"column": texts[0], "rule_id": texts[1], "description": texts[2], "action": texts[3],
		})
	if err != nil {
		return fmt.Errorf("exchange: storing rejects: %w", err)
	}
	return nil
}

func getImport(ctx context.Context, pool *pgxpool.Pool, agency string, id uuid.UUID) (*irtv1.Import, bool, error) {
	rows, err := pool.Query(ctx,
		`SELECT `+importColumns+` FROM imports WHERE import_id = @import_id AND agency_id = @agency_id`,
		pgx.NamedArgs{"import_id": id, "agency_id": agency})
	if err != nil {
		return nil, false, fmt.Errorf("exchange: reading an import: %w", err)
	}
	found, err := pgx.CollectOneRow(rows, scanImport)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("exchange: reading an import: %w", err)
	}
	return found, true, nil
}

func scanImport(row pgx.CollectableRow) (*irtv1.Import, error) {
	var (
		m                irtv1.Import
		id               uuid.UUID
		agency           string
		format, state    int16
		created, updated time.Time
	)
	err := row.Scan(&id, &agency, &format, &m.ValidateOnly, &state, &m.Rows, &m.Accepted, &m.Unchanged,
		&m.Rejected, &m.Queries, &m.Encoding, &m.IgnoredColumns, &created, &updated)
	m.Name = importName(agency, id)
	m.Format, m.State = irtv1.ImportFormat(format), irtv1.ImportState(state)
	m.CreateTime, m.UpdateTime = timestamppb.New(created), timestamppb.New(updated)
	return &m, err
}

// listRejects returns at most limit rejects after a place in the list.
func listRejects(ctx context.Context, pool *pgxpool.Pool, id uuid.UUID, after int64, limit int) ([]*irtv1.ImportReject, error) {
	rows, err := pool.Query(ctx,
		`SELECT row, "column", rule_id, description, action FROM import_rejects
		WHERE import_id = @import_id AND sequence > @after ORDER BY sequence LIMIT @limit`,
		pgx.NamedArgs{"import_id": id, "after": after, "limit": limit})
	if err != nil {
		return nil, fmt.Errorf("exchange: listing rejects: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*irtv1.ImportReject, error) {
		var m irtv1.ImportReject
		return &m, row.Scan(&m.Row, &m.Column, &m.RuleId, &m.Description, &m.Action)
	})
	if err != nil {
		return nil, fmt.Errorf("exchange: listing rejects: %w", err)
	}
	return list, nil
}
