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
	rows, err := w.tx.Query(ctx, `SELECT `+entryList+` FROM children
		WHERE merged_into = ANY($1::uuid[]) ORDER BY child_id FOR UPDATE`, uuids(merged))
	if err != nil {
		return fmt.Errorf("children: looking for redirects: %w", err)
	}
	leading, err := scanEntries(rows)
	if err != nil {
		return err
	}
	for _, e := range leading {
		w.redirect(e, entries, e.mergedInto.UUID)
	}
	return nil
}

// redirect makes a merged child lead to another.
func (w *write) redirect(e *entry, entries map[uuid.UUID]*entry, to uuid.UUID) {
	if w.touched[e.id] { // it is to become something else
		return
	}
	entries[e.id], w.merged[e.id], w.touched[e.id] = e, to, true
}
