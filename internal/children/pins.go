package children

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	irtv1 "irthub/gen/irt/v1"
)

// pin is a data manager's decision where a field of a child, or its group of
// fields, comes from: a record, or a stated value.
type pin struct {
	child    uuid.UUID
	key      string       // the field's name, or its group's
	record   uuid.UUID    // zero for a stated value
	value    *irtv1.Child // nil for a record
	reason   string
	by       string // who: a resource name
	agency   string // whose
	created  time.Time
	ended    time.Time // with by whom and why: of history alone
	endedBy  string
	endedFor string
}

// pins are those of one child, by key.
type pins map[string]*pin

var (
	pinColumns = []string{"child_id", "pin", "record_id", "value", "reason", "pinned_by", "agency_id", "create_time"}
	pinList    = strings.Join(pinColumns, ", ")
)

func scanPins(rows pgx.Rows) ([]*pin, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*pin, error) {
		p := &pin{}
		into, done := p.scan()
		if err := row.Scan(into...); err != nil {
			return nil, fmt.Errorf("children: reading a pin: %w", err)
		}
		return p, done()
	})
}

// scanPastPins reads pinList and what stands beside it in history.
func scanPastPins(rows pgx.Rows) ([]*pin, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*pin, error) {
		p := &pin{}
		into, done := p.scan()
		if err := row.Scan(append(into, &p.ended, &p.endedBy, &p.endedFor)...); err != nil {
			return nil, fmt.Errorf("children: reading a past pin: %w", err)
		}
		return p, done()
	})
}

func (p *pin) scan() (into []any, done func() error) {
	var value []byte
	into = []any{(*[16]byte)(&p.child), &p.key, (*zeronull.UUID)(&p.record), &value, &p.reason, &p.by, &p.agency, &p.created}
	return into, func() error {
		if value == nil {
			return nil
		}
		p.value = &irtv1.Child{}
		if err := readJSON.Unmarshal(value, p.value); err != nil {
			return fmt.Errorf("children: reading a pinned value: %w", err)
		}
		return nil
	}
}

func (p *pin) values() ([]any, error) {
	var value []byte
	if p.value != nil {
		var err error
		if value, err = storedJSON.Marshal(p.value); err != nil {
			return nil, fmt.Errorf("children: storing a pinned value: %w", err)
		}
	}
	return []any{[16]byte(p.child), p.key, zeronull.UUID(p.record), value, p.reason, p.by, p.agency, p.created}, nil
}

// sameAs tells whether another pin says the same of the field.
func (p *pin) sameAs(o *pin) bool {
	a, errA := storedJSON.Marshal(p.value)
	b, errB := storedJSON.Marshal(o.value)
	return p.record == o.record && errors.Join(errA, errB) == nil && string(a) == string(b)
}

func pinsByChild(all []*pin) map[uuid.UUID]pins {
	by := map[uuid.UUID]pins{}
	for _, p := range all {
		if by[p.child] == nil {
			by[p.child] = pins{}
		}
		by[p.child][p.key] = p
	}
	return by
}

// pinKey is the key of a field's pin: its group's name, or its own.
func (c *column) pinKey() string {
	if c.group != "" {
		return c.group
	}
	return c.name
}

// pinned are the columns that a name stands for: that of a group, or of one of its
// fields, or of a field by itself. The key is that of their pin.
func pinned(name string) (columns []*column, key string) {
	for i := range personColumns {
		if c := &personColumns[i]; c.name == name || c.group == name {
			key = c.pinKey()
		}
	}
	for i := range personColumns {
		if c := &personColumns[i]; key != "" && c.pinKey() == key {
			columns = append(columns, c)
		}
	}
	return columns, key
}

// insertPin puts a pin in force.
func insertPin(ctx context.Context, tx pgx.Tx, p *pin) error {
	v, err := p.values()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO child_pins (`+pinList+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, v...); err != nil {
		return fmt.Errorf("children: storing a pin: %w", err)
	}
	return nil
}

// endPin moves a pin to history.
func endPin(ctx context.Context, tx pgx.Tx, p *pin, at time.Time, by, reason string) error {
	tag, err := tx.Exec(ctx, `
		WITH old AS (DELETE FROM child_pins WHERE child_id = $1 AND pin = $2 RETURNING `+pinList+`)
		INSERT INTO child_pins_history (`+pinList+`, end_time, ended_by, end_reason)
		SELECT `+pinList+`, greatest($3::timestamptz, create_time), $4, $5 FROM old`, [16]byte(p.child), p.key, at, by, reason)
	if err != nil {
		return fmt.Errorf("children: ending a pin: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return errStale
	}
	return nil
}

// movePins takes the pins of a child that becomes one with another along. Where
// the other has one on the field already, that one stays and this one is history.
func (w *write) movePins(ctx context.Context, from, to uuid.UUID, by string) error {
	for _, p := range inKeyOrder(w.pins[from]) {
		if err := endPin(ctx, w.tx, p, w.now, by, pinMovedOn); err != nil {
			return err
		}
		if w.pins[to][p.key] != nil {
			continue
		}
		moved := *p
		moved.child = to
		if err := w.setPin(ctx, &moved); err != nil {
			return err
		}
	}
	delete(w.pins, from)
	return nil
}

// pinMovedOn is why a pin ends when its child becomes one with another. It says
// which pins a split gives back.
const pinMovedOn = "the child became one with another"

func (w *write) setPin(ctx context.Context, p *pin) error {
	if w.pins[p.child] == nil {
		w.pins[p.child] = pins{}
	}
	w.pins[p.child][p.key] = p
	return insertPin(ctx, w.tx, p)
}

// returnPins gives a child that is split off again its pins: those on records that
// come with it, and those it had when it was merged, which the other loses if it
// has them from there.
func (w *write) returnPins(ctx context.Context, from, to uuid.UUID, records map[uuid.UUID]bool, mergedAt time.Time, by string) error {
	for _, p := range inKeyOrder(w.pins[from]) {
		if records[p.record] {
			if err := w.passPin(ctx, p, to, by); err != nil {
				return err
			}
		}
	}
	rows, err := w.tx.Query(ctx, `SELECT `+pinList+`, end_time, ended_by, end_reason FROM child_pins_history
		WHERE child_id = $1 AND end_time >= $2 AND end_reason = $3`, [16]byte(to), mergedAt, pinMovedOn)
	if err != nil {
		return fmt.Errorf("children: looking for past pins: %w", err)
	}
	past, err := scanPastPins(rows)
	if err != nil {
		return err
	}
	for _, p := range past {
		if w.pins[to][p.key] != nil {
			continue
		}
		if now := w.pins[from][p.key]; now != nil && now.sameAs(p) && now.created.Equal(p.created) {
			err = w.passPin(ctx, now, to, by)
		} else {
			p.ended = time.Time{}
			err = w.setPin(ctx, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *write) passPin(ctx context.Context, p *pin, to uuid.UUID, by string) error {
	if err := endPin(ctx, w.tx, p, w.now, by, "its record was taken out of the child"); err != nil {
		return err
	}
	delete(w.pins[p.child], p.key)
	moved := *p
	moved.child = to
	return w.setPin(ctx, &moved)
}

func inKeyOrder(of pins) []*pin {
	all := make([]*pin, 0, len(of))
	for _, p := range of {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pin) int { return cmp.Compare(a.key, b.key) })
	return all
}
