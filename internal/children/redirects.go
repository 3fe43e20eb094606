package children

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// shortenRedirects brings the children that lead to one that is being merged
// straight to where it leads: a name that was merged is one step from its child.
func (w *write) shortenRedirects(ctx context.Context, entries map[uuid.UUID]*entry) error {
	if len(w.merged) == 0 {
		return nil
	}
	merged := make([]uuid.UUID, 0, len(w.merged))
	for id := range w.merged {
		merged = append(merged, id)
	}
	leading, err := w.leading(ctx, `merged_into = ANY($1::uuid[])`, uuids(merged))
	for _, e := range leading {
		w.redirect(e, entries, e.mergedInto.UUID)
	}
	return err
}

// leading locks and reads the children c, which lead to others, that a condition selects.
func (w *write) leading(ctx context.Context, which string, args ...any) ([]*entry, error) {
	rows, err := w.tx.Query(ctx, `SELECT `+entryList+` FROM children c WHERE `+which+` ORDER BY child_id FOR UPDATE`, args...)
	if err != nil {
		return nil, fmt.Errorf("children: looking for redirects: %w", err)
	}
	return scanEntries(rows)
}

// redirect makes a merged child lead to another.
func (w *write) redirect(e *entry, entries map[uuid.UUID]*entry, to uuid.UUID) {
	if w.touched[e.id] { // it is to become something else
		return
	}
	entries[e.id], w.merged[e.id], w.touched[e.id] = e, to, true
}
