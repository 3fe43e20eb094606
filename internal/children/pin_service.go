package children

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// pinsAtMost is how many pins, past ones included, one answer lists.
const pinsAtMost = 1000

// PinChildField implements irtv1.ChildServiceServer.
func (s *Service) PinChildField(ctx context.Context, req *irtv1.PinChildFieldRequest) (*irtv1.ChildPin, error) {
	child, columns, key, err := pinSubject(req.GetChild(), req.GetField())
	if err != nil {
		return nil, err
	}
	var out *irtv1.ChildPin
	err = s.curate(ctx, req.GetReason(), req.GetValidateOnly(), func(ctx context.Context, c *curation) error {
		e, err := c.lockPinned(ctx, child, req.GetEtag())
		if err != nil {
			return err
		}
		p := &pin{child: child, key: key, reason: req.GetReason(), by: c.person(), agency: c.caller.Agency, created: c.now}
		if err := c.source(p, req, columns, e); err != nil {
			return err
		}
		before := c.pins[child][key]
		if before != nil && before.sameAs(p) {
			out, err = c.pinMessage(ctx, before)
			return err
		}
		if before != nil {
			if err := endPin(ctx, c.tx, before, c.now, c.person(), c.reason); err != nil {
				return err
			}
		}
		if err := c.setPin(ctx, p); err != nil {
			return err
		}
		if out, err = c.pinMessage(ctx, p); err != nil {
			return err
		}
		return c.recompose(ctx, child)
	})
	if err != nil {
		return nil, err
	}
	return out, s.showAbout(ctx, about{message: out, children: []uuid.UUID{child}})
}

// pinSubject is the child and the columns that a request is about.
func pinSubject(name, field string) (child uuid.UUID, columns []*column, key string, err error) {
	if child, err = rpc.ParseChildName(name); err != nil {
		return child, nil, "", err
	}
	if f := (&irtv1.Child{}).ProtoReflect().Descriptor().Fields().ByJSONName(field); f != nil {
		field = string(f.Name()) // as provenance names it over REST
	}
	columns, key = pinned(field)
	if key == "" {
		return child, nil, "", rpc.Invalid([]standard.Fault{{
			Field: "field", RuleID: "FIELD_UNKNOWN", Description: "It is not a field that agencies' records say, nor a group of such fields.",
			Action: "Send the name of such a field of Child, such as given_name, or of its group, such as address.",
		}})
	}
	return child, columns, key, nil
}

// lockPinned takes a child that the caller may curate.
func (c *curation) lockPinned(ctx context.Context, child uuid.UUID, etag string) (*entry, error) {
	if err := c.lockChildren(ctx, child); err != nil {
		return nil, err
	}
	if err := c.mayCurate(c.members[child]); err != nil {
		return nil, err
	}
	e := c.entries[child]
	if err := checkChildEtag(etag, e); err != nil {
		return nil, err
	}
	return e, present(e)
}

// source sets where a pin takes its field from: a record of the child that says
// something of it, or what is stated, which is held to the standard.
func (c *curation) source(p *pin, req *irtv1.PinChildFieldRequest, columns []*column, e *entry) error {
	if req.GetValue() != nil {
		var err error
		p.value, err = stated(req.GetValue(), columns, e)
		return err
	}
	id, err := recordIDOf(req.GetChildRecord())
	if err != nil {
		return err
	}
	for _, r := range c.members[p.child] {
		if r.id == id && speaksOf(r, p.key) {
			p.record = id
			return nil
		}
	}
	return rpc.Precondition("The record is not one of the child's in force, or says nothing of the field. List the child's records and choose again, or state a value.")
}

// stated takes the fields of a pin from what is stated and holds them to the
// standard, in the place of what the child says now: of what it says elsewhere
// nothing is asked.
func stated(value *irtv1.ChildRecord, columns []*column, e *entry) (*irtv1.Child, error) {
	whole, given := &irtv1.ChildRecord{}, value.ProtoReflect()
	for i := range personColumns {
		c := &personColumns[i]
		isStated := slices.Contains(columns, c)
		if given.Has(c.record) && !isStated {
			return nil, rpc.Invalid([]standard.Fault{{
				Field: "value." + c.name, RuleID: "FIELD_UNKNOWN", Description: "The pin is not about this field.",
				Action: "Send the fields of the pin alone.",
			}})
		}
		if from, fd := given, c.record; isStated && from.Has(fd) {
			set(whole.ProtoReflect(), c.record, from.Get(fd))
		} else if from, fd := e.person.ProtoReflect(), c.child; !isStated && from.Has(fd) {
			set(whole.ProtoReflect(), c.record, from.Get(fd))
		}
	}
	whole.Name = "agencies/pins/childRecords/pin"
	whole = proto.CloneOf(whole) // lists are shared until here
	standard.Normalise(whole)
	faults, _ := standard.Check(whole, standard.Options{})
	faults = slices.DeleteFunc(faults, func(f standard.Fault) bool {
		return !slices.ContainsFunc(columns, func(c *column) bool { return within(f.Field, c.name) })
	})
	if len(faults) > 0 {
		return nil, rpc.Invalid(rpc.Prefix("value", faults))
	}
	out := &irtv1.Child{}
	for _, c := range columns {
		if m := whole.ProtoReflect(); m.Has(c.record) {
			set(out.ProtoReflect(), c.child, m.Get(c.record))
		}
	}
	return out, nil
}

// within tells whether the path of a fault is a field, or lies in it.
func within(path, field string) bool {
	return path == field || len(path) > len(field) && path[:len(field)] == field && (path[len(field)] == '.' || path[len(field)] == '[')
}

// recompose makes a child's next version, because its pins changed, and tells of it.
func (c *curation) recompose(ctx context.Context, child uuid.UUID) error {
	c.touched[child] = true
	next, err := c.composeTouched(c.entries)
	if err != nil {
		return err
	}
	for _, e := range next {
		c.events = append(c.events, events.Event{
			Kind: irtv1.EventKind_EVENT_KIND_CHILD_UPDATED, Child: child, Agency: c.actor, Time: e.knownFrom,
		})
	}
	if err := c.storeEntries(ctx, next); err != nil {
		return err
	}
	return c.storeWithEvents(ctx)
}

// UnpinChildField implements irtv1.ChildServiceServer.
func (s *Service) UnpinChildField(ctx context.Context, req *irtv1.UnpinChildFieldRequest) (*irtv1.ChildPin, error) {
	child, _, key, err := pinSubject(req.GetChild(), req.GetField())
	if err != nil {
		return nil, err
	}
	var out *irtv1.ChildPin
	err = s.curate(ctx, req.GetReason(), false, func(ctx context.Context, c *curation) error {
		if _, err := c.lockPinned(ctx, child, req.GetEtag()); err != nil {
			return err
		}
		p := c.pins[child][key]
		if p == nil {
			return rpc.NotFound("pin")
		}
		if err := endPin(ctx, c.tx, p, c.now, c.person(), c.reason); err != nil {
			return err
		}
		delete(c.pins[child], key)
		p.ended, p.endedBy, p.endedFor = c.now, c.person(), c.reason
		if out, err = c.pinMessage(ctx, p); err != nil {
			return err
		}
		return c.recompose(ctx, child)
	})
	if err != nil {
		return nil, err
	}
	return out, s.showAbout(ctx, about{message: out, children: []uuid.UUID{child}})
}

// pinMessage shows a pin, and notes it in the access log.
func (c *curation) pinMessage(ctx context.Context, p *pin) (*irtv1.ChildPin, error) {
	all, err := c.s.pinMessages(ctx, c.tx, c.caller, []*pin{p}, c.members[p.child])
	if err != nil {
		return nil, err
	}
	c.access.AddReturned(all[0].GetName())
	return all[0], nil
}

// pinMessages shows pins of one child with the given records in force.
func (s *Service) pinMessages(ctx context.Context, q querier, caller identity.Caller, all []*pin, members []*record) ([]*irtv1.ChildPin, error) {
	var ids []uuid.UUID
	for _, p := range all {
		ids = append(ids, p.record)
	}
	records, err := queryRecords(ctx, q, `SELECT `+recordList+` FROM child_records WHERE record_id = ANY($1::uuid[])`, uuids(ids))
	if err != nil {
		return nil, err
	}
	out := make([]*irtv1.ChildPin, len(all))
	for i, p := range all {
		m := &irtv1.ChildPin{
			Name: rpc.ChildName(p.child) + "/pins/" + p.key, Value: p.value, Reason: p.reason, PinnedBy: p.by,
			CreateTime: timestamp(p.created), EndedBy: p.endedBy, EndReason: p.endedFor,
		}
		columns, _ := pinned(p.key)
		for _, c := range columns {
			m.Fields = append(m.Fields, c.name)
		}
		if !p.ended.IsZero() {
			m.EndTime = timestamp(p.ended)
		}
		if p.value == nil {
			m.Dormant = !slices.ContainsFunc(members, func(r *record) bool { return r.id == p.record && speaksOf(r, p.key) })
		}
		for _, r := range records {
			if r.id == p.record && sharing.MayReadRecord(caller, r.agency) {
				m.ChildRecord = r.name()
			}
		}
		out[i] = m
	}
	return out, nil
}

// ListChildPins implements irtv1.ChildServiceServer.
func (s *Service) ListChildPins(ctx context.Context, req *irtv1.ListChildPinsRequest) (*irtv1.ListChildPinsResponse, error) {
	asked, err := rpc.ParseChildName(req.GetParent())
	if err != nil {
		return nil, err
	}
	v, err := s.follow(ctx, asked)
	if err != nil {
		return nil, err
	}
	child := v.entry.id
	all, err := s.pinsOf(ctx, child, req.GetShowEnded())
	if err != nil {
		return nil, err
	}
	members, err := findMembers(ctx, s.pool, map[uuid.UUID]bool{child: true})
	if err != nil {
		return nil, err
	}
	access := audit.FromContext(ctx)
	access.AddChild(child)
	out := &irtv1.ListChildPinsResponse{}
	if out.ChildPins, err = s.pinMessages(ctx, s.pool, identity.FromContext(ctx), all, members[child]); err != nil {
		return nil, err
	}
	shown := make([]about, len(out.GetChildPins()))
	for i, m := range out.GetChildPins() {
		access.AddReturned(m.GetName())
		shown[i] = about{message: m, children: []uuid.UUID{child}}
	}
	return out, s.showAbout(ctx, shown...)
}

// pinsOf are a child's pins, the latest first.
func (s *Service) pinsOf(ctx context.Context, child uuid.UUID, ended bool) ([]*pin, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT `+pinList+`, end_time, ended_by, end_reason FROM (
			SELECT `+pinList+`, $3::timestamptz AS end_time, '' AS ended_by, '' AS end_reason FROM child_pins WHERE child_id = $1
			UNION ALL
			SELECT `+pinList+`, end_time, ended_by, end_reason FROM child_pins_history WHERE child_id = $1 AND $2
		) p ORDER BY create_time DESC, pin, end_time DESC LIMIT $4`, [16]byte(child), ended, time.Time{}, pinsAtMost)
	if err != nil {
		return nil, fmt.Errorf("children: listing pins: %w", err)
	}
	return scanPastPins(rows)
}
