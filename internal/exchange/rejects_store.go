package exchange

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
)

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

// insertKept stores rejected rows as they were sent.
func insertKept(ctx context.Context, tx pgx.Tx, id uuid.UUID, kept []keptRow) error {
	if len(kept) == 0 {
		return nil
	}
	rows, contents := make([]int32, len(kept)), make([]string, len(kept))
	for i, k := range kept {
		rows[i], contents[i] = k.row, k.content
	}
	_, err := tx.Exec(ctx,
		`INSERT INTO import_rejected_rows (import_id, row, content)
		SELECT @import_id::uuid, u.row, u.content FROM unnest(@row::bigint[], @content::text[]) AS u(row, content)
		ON CONFLICT (import_id, row) DO NOTHING`,
		pgx.NamedArgs{"import_id": id, "row": rows, "content": contents})
	if err != nil {
		return fmt.Errorf("exchange: storing rejected rows: %w", err)
	}
	return nil
}

// rejectedRows are the numbers of the rows that were rejected, in order.
func rejectedRows(ctx context.Context, pool *pgxpool.Pool, id uuid.UUID) ([]int32, error) {
	rows, err := pool.Query(ctx, `SELECT DISTINCT row::integer FROM import_rejects WHERE import_id = $1 ORDER BY 1`, id)
	if err != nil {
		return nil, fmt.Errorf("exchange: reading which rows were rejected: %w", err)
	}
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return nil, fmt.Errorf("exchange: reading which rows were rejected: %w", err)
	}
	return numbers, nil
}

// forgetRejectedRows deletes the rejected rows of imports whose time is over. The
// rejects themselves hold no values, and stay.
func forgetRejectedRows(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `WITH over AS (
			UPDATE imports SET kept_until = NULL WHERE kept_until < now() AND state <> 1 RETURNING import_id
		) DELETE FROM import_rejected_rows k USING over WHERE k.import_id = over.import_id`)
	if err != nil {
		return fmt.Errorf("exchange: forgetting rejected rows: %w", err)
	}
	return nil
}

// forgetImports deletes imports that ended long ago, and what is kept of them. Whoever
// sends such a file again begins anew, and nothing goes in twice.
func forgetImports(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `WITH gone AS (
			DELETE FROM imports WHERE state <> 1 AND update_time < now() - $1::interval RETURNING import_id
		), contents AS (
			DELETE FROM import_rejected_rows k USING gone WHERE k.import_id = gone.import_id
		) DELETE FROM import_rejects r USING gone WHERE r.import_id = gone.import_id`, keepImports)
	if err != nil {
		return fmt.Errorf("exchange: forgetting imports: %w", err)
	}
	return nil
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
